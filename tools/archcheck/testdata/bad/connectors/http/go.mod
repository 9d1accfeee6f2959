module github.com/millrace-io/millrace/connectors/httpd // want "module path must be github.com/millrace-io/millrace/connectors/http, as the folder"

go 1.26.0

require github.com/millrace-io/millrace/engine v0.1.0 // want "required as v0.0.0 and replaced"

require github.com/valyala/fasthttp v1.74.0

replace github.com/millrace-io/millrace/engine => ../../engine

replace github.com/valyala/fasthttp => ../fasthttp // want "only a sibling may be replaced, by its folder"
