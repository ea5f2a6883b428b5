package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"wadm/config/terminal"
	"wadm/tenancy/manifest"
)

// finding is one thing to say about a manifest.
type finding struct {
	Message string `json:"msg"`
	// Line and Column count from 1; 0 means that the place is not known.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}

// findings is the JSON of validate.
type findings struct {
	header
	Valid    bool      `json:"valid"`
	Errors   []finding `json:"errors"`
	Warnings []finding `json:"warnings"`
	Advice   []finding `json:"advice"`
}

func (p *program) validate() *cobra.Command {
	var refs bool
	cmd := &cobra.Command{
		Use:   "validate FILE|URL|-",
		Short: "Check a manifest without a server",
		Long: `Checks a manifest without a server, by the rules of the server. Errors make it
invalid (exit code 6); warnings and advice do not. Where a place is known,
FILE:LINE:COLUMN comes first.`,
		Args: arguments(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			src, err := p.read(c.Context(), args[0])
			if err != nil {
				return err
			}
			doc := examine(src, refs)
			doc.header = header{apiVersion, doc.Valid}
			if err := p.out.print(doc, func(w io.Writer) { doc.write(w, src.name) }); err != nil {
				return err
			}
			if !doc.Valid {
				return &failure{code: exitInvalid, what: fmt.Sprintf("manifest %s is not valid: %d error(s)", src.name, len(doc.Errors))}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&refs, "check-image-refs", false, "check that image references can be right, and that file:// images exist")
	return cmd
}

// examine applies all rules to a manifest.
func examine(src source, refs bool) findings {
	doc := findings{Errors: []finding{}, Warnings: []finding{}, Advice: []finding{}}
	m, err := manifest.Parse(src.data, src.contentType(), true, manifest.Budget{})
	if err != nil {
		doc.Errors = append(doc.Errors, parseFinding(err).within(src.data))
		return doc
	}
	at, traits := locate(src.data), inspect(src.data)
	for _, f := range m.Validate() {
		if f.Level == manifest.Error {
			doc.Errors = append(doc.Errors, at.finding(f.Message))
		} else {
			doc.Warnings = append(doc.Warnings, at.finding(f.Message))
		}
	}
	doc.Errors = traits.explain(doc.Errors)
	for _, a := range m.Advice() {
		doc.Advice = append(doc.Advice, at.finding(a))
	}
	doc.Advice = append(doc.Advice, traits.advice...)
	if refs {
		for _, c := range m.Spec.Components {
			if c.Properties.Image == nil {
				continue
			}
			if err := checkImage(src.dir, *c.Properties.Image); err != nil {
				doc.Errors = append(doc.Errors, at.finding(fmt.Sprintf("component '%s': %v", c.Name, err)))
			}
		}
	}
	doc.Valid = len(doc.Errors) == 0
	return doc
}

func (d findings) write(w io.Writer, name string) {
	for _, kind := range []struct {
		word string
		list []finding
	}{{"error", d.Errors}, {"warning", d.Warnings}, {"advice", d.Advice}} {
		for _, f := range kind.list {
			place := name
			if f.Line > 0 {
				place += fmt.Sprintf(":%d", f.Line)
			}
			if f.Column > 0 {
				place += fmt.Sprintf(":%d", f.Column)
			}
			fmt.Fprintf(w, "%s: %s: %s\n", place, kind.word, terminal.Safe(f.Message))
		}
	}
	if d.Valid {
		fmt.Fprintf(w, "%s: manifest is valid\n", name)
	}
}

// parseFinding takes the place out of the words of the parser.
func parseFinding(err error) finding {
	f := finding{Message: err.Error()}
	if m := linePattern.FindStringSubmatch(f.Message); m != nil {
		_, _ = fmt.Sscan(m[1], &f.Line)
		_, _ = fmt.Sscan(m[2], &f.Column)
		f.Message = strings.TrimSuffix(f.Message, " "+m[0])
	}
	return f
}

// unknownPattern finds the name of a field in the words of the parser.
var unknownPattern = regexp.MustCompile("unknown field `([^`]+)`")

// within moves a finding about an unknown field from the part of the manifest that
// has it, which is the place the parser knows, to the field.
func (f finding) within(data []byte) finding {
	m := unknownPattern.FindStringSubmatch(f.Message)
	var doc yaml.Node
	if m == nil || f.Line == 0 || yaml.Unmarshal(data, &doc) != nil {
		return f
	}
	// after is the first such field behind the place.
	var after *yaml.Node
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		for i, c := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 0 && c.Value == m[1] && after == nil &&
				(c.Line > f.Line || c.Line == f.Line && c.Column >= f.Column) {
				after = c
			}
			walk(c)
		}
	}
	walk(&doc)
	if after != nil {
		f.Line, f.Column = after.Line, after.Column
	}
	return f
}

// places knows where names are given in a manifest.
type places map[string]finding

// locate finds the first place of every name, id and image. The rules speak of
// those; where a message names none of them, its place is not known.
func locate(data []byte) places {
	var doc yaml.Node
	at := places{}
	if yaml.Unmarshal(data, &doc) == nil {
		at.walk(&doc)
	}
	return at
}

func (at places) walk(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			switch key.Value {
			case "name", "id", "image", "target":
				if _, known := at[value.Value]; !known && value.Kind == yaml.ScalarNode && value.Value != "" {
					at[value.Value] = finding{Line: value.Line, Column: value.Column}
				}
			}
		}
	}
	for _, c := range n.Content {
		at.walk(c)
	}
}

// wordPattern takes a message apart into what may be a name.
var wordPattern = regexp.MustCompile(`[\w.:/@-]+`)

// finding places a message at the last name in it: messages go from the whole
// to the part.
func (at places) finding(message string) finding {
	f := finding{Message: message}
	for _, word := range wordPattern.FindAllString(message, -1) {
		if place, ok := at[strings.TrimRight(word, ".:")]; ok {
			f.Line, f.Column = place.Line, place.Column
		}
	}
	return f
}

// imagePattern is the form of an OCI reference: host, path, then tag or digest.
var imagePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*(:\d+)?(/[A-Za-z0-9._-]+)+(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?$`)

// checkImage says why an image cannot be had, as far as that can be told from here.
func checkImage(dir, image string) error {
	path, isFile := strings.CutPrefix(image, "file://")
	switch {
	case isFile:
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("image %s: %w", image, errors.Unwrap(err))
		}
		if info.IsDir() {
			return fmt.Errorf("image %s is a folder", image)
		}
		return nil
	case strings.HasPrefix(image, "wasmcloud+builtin://"), strings.HasPrefix(image, "http://"), strings.HasPrefix(image, "https://"):
		return nil
	case !imagePattern.MatchString(image):
		return fmt.Errorf("image %q is no reference of the form HOST/PATH:TAG", image)
	}
	return nil
}
