// SPDX-License-Identifier: Apache-2.0

package kind

// Problem is something wrong with a module file.
type Problem struct {
	Position
	Field   string // The path of the field, such as "spec.transport.call"; empty for a whole component.
	Message string // What is wrong, with what was expected.
	Hint    string // How to fix it; may be empty.
	Warning bool   // It works all the same.
}

func (p Problem) Error() string {
	s := p.Position.String() + ": "
	if p.Warning {
		s += "warning: "
	}
	if p.Field != "" {
		s += p.Field + ": "
	}
	s += p.Message
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s
}
