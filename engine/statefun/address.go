// SPDX-License-Identifier: Apache-2.0

package statefun

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of names and ids. They bound what one message may cost in a mailbox and in a checkpoint, and
// they are part of the formats: raising them is a change of format.
const (
	// NameBytesMax bounds a namespace and a name, each, in bytes.
	NameBytesMax = 255
	// TypenameBytesMax bounds a typename: a namespace, a slash and a name.
	TypenameBytesMax = 2*NameBytesMax + 1
	// IDBytesMax bounds the id of an address in bytes.
	IDBytesMax = 4096
)

// ErrMalformed is returned when a function type, a typename or an address is not well formed.
var ErrMalformed = errors.New("malformed")

// FunctionType names a class of functions: what its instances are told apart from other classes by.
type FunctionType struct {
	Namespace string
	Name      string
}

// ParseFunctionType reads "<namespace>/<name>". The last slash separates, so that a namespace may hold
// slashes, as in StateFun; both parts must be present.
func ParseFunctionType(s string) (FunctionType, error) {
	namespace, name, err := splitName(s)
	if err != nil {
		return FunctionType{}, fmt.Errorf("function type %q: %w", clip(s), err)
	}
	return FunctionType{Namespace: namespace, Name: name}, nil
}

// String returns "<namespace>/<name>".
func (t FunctionType) String() string { return t.Namespace + "/" + t.Name }

// Address names one virtual instance: a function type and an id within it.
type Address struct {
	Type FunctionType
	ID   string
}

// ParseAddress reads "<namespace>/<name>/<id>" with exactly three parts; the id is everything behind the
// second slash, and may itself hold slashes.
func ParseAddress(s string) (Address, error) {
	namespace, rest, ok := strings.Cut(s, "/")
	name, id, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		return Address{}, fmt.Errorf("address %q: %w: want <namespace>/<name>/<id>", clip(s), ErrMalformed)
	}
	a := Address{Type: FunctionType{Namespace: namespace, Name: name}, ID: id}
	if err := a.Validate(); err != nil {
		return Address{}, err
	}
	return a, nil
}

// String returns "<namespace>/<name>/<id>".
func (a Address) String() string { return a.Type.String() + "/" + a.ID }

// Validate reports why a is not an address, or nil.
func (a Address) Validate() error {
	if err := validateName(a.Type.Namespace, a.Type.Name); err != nil {
		return fmt.Errorf("address %q: %w", clip(a.String()), err)
	}
	if err := ValidateID(a.ID); err != nil {
		return fmt.Errorf("address %q: %w", clip(a.String()), err)
	}
	return nil
}

// ValidateID reports why id cannot be the id of an address, or nil. Any bytes will do, since StateFun's
// ids come from Kafka keys; only their number is limited.
func ValidateID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: empty id", ErrMalformed)
	case len(id) > IDBytesMax:
		return fmt.Errorf("%w: id of %d bytes, at most %d are allowed", ErrMalformed, len(id), IDBytesMax)
	}
	return nil
}

// ValidateTypename reports why s is not a typename ("<namespace>/<name>"), or nil.
func ValidateTypename(s string) error {
	if _, _, err := splitName(s); err != nil {
		return fmt.Errorf("typename %q: %w", clip(s), err)
	}
	return nil
}

func splitName(s string) (namespace, name string, err error) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", "", fmt.Errorf("%w: want <namespace>/<name>", ErrMalformed)
	}
	namespace, name = s[:i], s[i+1:]
	if err := validateName(namespace, name); err != nil {
		return "", "", err
	}
	return namespace, name, nil
}

func validateName(namespace, name string) error {
	switch {
	case namespace == "":
		return fmt.Errorf("%w: empty namespace", ErrMalformed)
	case name == "":
		return fmt.Errorf("%w: empty name", ErrMalformed)
	case strings.Contains(name, "/"):
		return fmt.Errorf("%w: a name has no slash", ErrMalformed)
	case len(namespace) > NameBytesMax || len(name) > NameBytesMax:
		return fmt.Errorf("%w: namespace and name may have at most %d bytes each", ErrMalformed, NameBytesMax)
	}
	for _, part := range []string{namespace, name} {
		if !utf8.ValidString(part) {
			return fmt.Errorf("%w: not valid UTF-8", ErrMalformed)
		}
		for _, r := range part {
			if r <= ' ' || r == 0x7f {
				return fmt.Errorf("%w: control characters and spaces are not allowed", ErrMalformed)
			}
		}
	}
	return nil
}

// clip keeps an error about hostile input short.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
