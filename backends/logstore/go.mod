module github.com/millrace-io/millrace/backends/logstore

go 1.26.0

require github.com/millrace-io/millrace/engine v0.0.0

require pgregory.net/rapid v1.3.0

replace github.com/millrace-io/millrace/engine => ../../engine
