// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v4"
)

// setting is one key of a config file.
type setting struct {
	at     string // "file:line:column"
	key    string
	values []string
}

// configBytesMax bounds a config file.
const configBytesMax = 1 << 20

// readConfig returns the settings in a file, with everything that is wrong with it; none without a file.
func readConfig(name string) ([]setting, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, configBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if len(text) > configBytesMax {
		return nil, fmt.Errorf("config: %s: larger than %d bytes", name, configBytesMax)
	}
	return parseConfig(name, text)
}

func parseConfig(file string, text []byte) ([]setting, error) {
	var doc, second yaml.Node
	docs := yaml.NewDecoder(bytes.NewReader(text))
	switch err := docs.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil // Nothing but comments.
	case err != nil:
		return nil, fmt.Errorf("config: %s: %w", file, err)
	}
	if err := docs.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("config: %s: want a single YAML document", file)
	}
	return settingsIn(file, doc.Content[0])
}

func settingsIn(file string, root *yaml.Node) (found []setting, err error) {
	var errs []error
	at := func(n *yaml.Node) string { return fmt.Sprintf("%s:%d:%d", file, n.Line, n.Column) }
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: want a mapping of settings to values", at(root))
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		s := setting{at: at(key), key: key.Value}
		items := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode && s.key == "module" {
			items = value.Content
		}
		for _, item := range items {
			if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
				errs = append(errs, fmt.Errorf("%s: %s: want a value", at(item), s.key))
				continue
			}
			s.values = append(s.values, item.Value)
		}
		if seen[s.key] {
			errs = append(errs, fmt.Errorf("%s: %s: given twice", s.at, s.key))
		}
		seen[s.key] = true
		found = append(found, s)
	}
	return found, errors.Join(errs...)
}
