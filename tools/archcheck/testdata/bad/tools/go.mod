module github.com/millrace-io/millrace/tools // want "tools/go.mod must say go 1.26.0"

go 1.26.8

require github.com/millrace-io/millrace/engine v0.0.0

replace github.com/millrace-io/millrace/engine => ../engine
