"""What the pages of a site load: style, scripts, the viewer's library and its licences."""
