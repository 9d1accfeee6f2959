module github.com/millrace-io/millrace/engine

go 1.26.0

toolchain go1.26.8 // want "a toolchain line would raise what users need"
