module github.com/millrace-io/millrace/connectors/file

go 1.26.0

require (
	github.com/millrace-io/millrace/engine v0.0.0
	pgregory.net/rapid v1.3.0
)

replace github.com/millrace-io/millrace/engine => ../../engine
