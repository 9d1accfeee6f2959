// SPDX-License-Identifier: Apache-2.0

// Package kind is the port between module files and what they set up. A module file is a list of
// components, each with a kind and a spec; a [Kind] reads the spec and brings endpoints, doors and sinks.
// Connectors and protocols offer their kinds as values, and whoever builds a command picks from them, so
// that a third party adds a kind by importing it.
//
// There is no YAML here: the loader turns a document into [Node] values, with their positions. A kind asks
// a [Spec] for its fields; what is missing, wrong or unknown becomes a [Problem] with file, line and
// column, so that all problems of all files are reported at once and nothing is started before.
package kind
