module github.com/millrace-io/millrace/backends/memory

go 1.26.0

require github.com/millrace-io/millrace/engine v0.0.0 // want "required as v0.0.0 and replaced"
