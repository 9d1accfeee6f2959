// SPDX-License-Identifier: Apache-2.0

// Package module loads module files: it reads them, finds everything that is wrong in any of them, and
// makes an engine.Module of what they describe. Nothing is started, and nothing is returned but the
// problems, unless all is well.
//
// A module file is YAML as Apache Flink StateFun 3 reads it. Its documents are components, in any order:
//
//	kind: io.statefun.endpoints.v2/http
//	spec:
//	  functions: shop.fns/*
//	  urlPathTemplate: http://${FNS_HOST:127.0.0.1}:9000/{function.name}
//	---
//	kind: io.millrace.http.v1/ingress
//	spec: {address: 127.0.0.1:8090}
//
// A file whose only document has a version is in the older layout of StateFun 3.0 and is read as the
// components that it stands for.
//
// # YAML
//
// Files are hostile until they have been read: there are limits on bytes, values, depth and problems, and
// all that makes a short file long or a value not what it looks like is refused: aliases, anchors, merge
// keys, tags, duplicate names, names that are no text. Only regular files are read. A number or a truth
// value is the text that was written; what reads it decides what it may be.
//
// # Variables
//
// ${NAME} in a value stands for the environment variable NAME, and ${NAME:text} for text where there is no
// NAME; text ends at the first }. $${ stands for ${. Variables are put in after YAML has been read, and the
// result is one value, so that nothing in the environment can add a field. They do not nest. Names of fields
// have no variables, and no form of them reads a file.
package module
