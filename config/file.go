package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"wadm/config/spelling"
)

// maxFileSize bounds a configuration file, in bytes.
const maxFileSize = 1 << 20

// readFile finds the values of options in a YAML file. Everything wrong with
// the file is reported with its place.
func readFile(path string, options []Option) (layer, []problem) {
	f, err := os.Open(path)
	if err != nil {
		return nil, []problem{{text: fmt.Sprintf("configuration file: %v", err), inFile: true}}
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err == nil && len(data) > maxFileSize {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxFileSize)
	}
	if err != nil {
		return nil, []problem{{text: fmt.Sprintf("configuration file: %v", err), inFile: true}}
	}
	return parseFile(path, data, options)
}

// parseFile is readFile for what was read. It walks the nodes instead of
// decoding them, because only nodes know their line and column.
func parseFile(path string, data []byte, options []Option) (layer, []problem) {
	var doc yaml.Node
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return layer{}, nil // an empty file says nothing
		}
		return nil, []problem{{text: fmt.Sprintf("%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: ")), inFile: true}}
	}
	w := walker{path: path, values: layer{}, byKey: map[string]Option{}, groups: map[string]bool{}, seen: map[string]bool{}}
	for _, o := range options {
		if o.Key == "" {
			continue
		}
		w.byKey[o.Key] = o
		w.keys = append(w.keys, o.Key)
		if group, _, ok := strings.Cut(o.Key, "."); ok {
			w.groups[group] = true
		}
	}
	for _, n := range doc.Content {
		w.mapping("", n)
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		w.problem(&more, "a second document; there must be one")
	}
	return w.values, w.problems
}

type walker struct {
	path     string
	byKey    map[string]Option
	keys     []string
	groups   map[string]bool
	seen     map[string]bool
	values   layer
	problems []problem
}

func (w *walker) problem(n *yaml.Node, format string, args ...any) {
	text := fmt.Sprintf("%s:%d:%d: ", w.path, n.Line, n.Column) + fmt.Sprintf(format, args...)
	w.problems = append(w.problems, problem{text: text, inFile: true})
}

// mapping reads the keys below prefix, which is empty or ends with a dot.
func (w *walker) mapping(prefix string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // a group with everything commented out
	}
	if n.Kind != yaml.MappingNode {
		w.problem(n, "expected keys and values%s", below(prefix))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := prefix + key.Value
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
			w.problem(key, "a key must be a plain word%s", below(prefix))
		case w.seen[name]:
			w.problem(key, "key %q is given twice", name)
		case w.groups[name]:
			w.seen[name] = true
			w.mapping(name+".", value)
		default:
			w.seen[name] = true
			w.value(name, key, value)
		}
	}
}

func (w *walker) value(name string, key, value *yaml.Node) {
	o, ok := w.byKey[name]
	if !ok {
		hint := ""
		if near, ok := spelling.Nearest(name, w.keys, true); ok {
			hint = fmt.Sprintf("; did you mean %q?", near)
		} else if near, ok := w.sameLastWord(name); ok {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		w.problem(key, "unknown key %q%s", name, hint)
		return
	}
	if value.Kind != yaml.ScalarNode {
		w.problem(value, "%s: expected a single value", name)
		return
	}
	if value.Tag == "!!null" {
		return // "key:" with nothing behind it leaves the default
	}
	v, err := o.parse(value.Value)
	if err != nil {
		w.problem(value, "%s: %v", name, err)
		return
	}
	w.values[o.Long] = v
}

// sameLastWord finds the key somebody meant who put it in the wrong group.
func (w *walker) sameLastWord(name string) (string, bool) {
	last := name[strings.LastIndex(name, ".")+1:]
	for _, k := range w.keys {
		if k[strings.LastIndex(k, ".")+1:] == last || w.byKey[k].Long == strings.ReplaceAll(last, "_", "-") {
			return k, true
		}
	}
	return "", false
}

func below(prefix string) string {
	if prefix == "" {
		return ""
	}
	return " below " + strings.TrimSuffix(prefix, ".")
}
