package main

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"wadm/config/spelling"
	"wadm/tenancy/manifest"
)

// deserialized starts what the rules say of a scaler that cannot be read. They see
// that it is none, not what is wrong with it.
const deserialized = "Scaler trait deserialized as custom trait"

// Fields of traits, as people write them.
var (
	scalerFields    = []string{"instances", "replicas", "spread"}
	spreadFields    = []string{"name", "requirements", "weight"}
	linkFields      = []string{"target", "namespace", "package", "interfaces", "name", "source", "source_config", "target_config"}
	linkMust        = []string{"target", "namespace", "package", "interfaces"}
	targetFields    = []string{"name", "config", "secrets"}
	sourceFields    = []string{"config", "secrets"}
	traitTypes      = []string{manifest.TraitSpreadScaler, manifest.TraitDaemonScaler, manifest.TraitLink}
	unknownTraitEnd = "is unknown to wadm and has no effect"
)

// inspector reads the traits of a manifest as they are written, to say of
// misspelt fields where they are. What is valid is decided by others.
type inspector struct {
	// broken are reasons why scalers cannot be read, by trait.
	broken [][]finding
	advice []finding
	// component is the name of the one that is looked at.
	component string
}

// inspect looks at all traits. What is no manifest has none.
func inspect(data []byte) *inspector {
	in := &inspector{}
	var doc yaml.Node
	if yaml.Unmarshal(data, &doc) != nil || len(doc.Content) == 0 {
		return in
	}
	for _, c := range items(child(child(doc.Content[0], "spec"), "components")) {
		in.component = ""
		if name := child(c, "name"); name != nil {
			in.component = name.Value
		}
		for _, t := range items(child(c, "traits")) {
			in.trait(t)
		}
	}
	return in
}

func (in *inspector) trait(t *yaml.Node) {
	kind, properties := child(t, "type"), child(t, "properties")
	if kind == nil || kind.Kind != yaml.ScalarNode {
		return
	}
	switch kind.Value {
	case manifest.TraitSpreadScaler, manifest.TraitDaemonScaler:
		if wrong := in.scaler(kind, properties); len(wrong) > 0 {
			in.broken = append(in.broken, wrong)
		}
	case manifest.TraitLink:
		in.link(kind, properties)
	default:
		near, ok := spelling.Nearest(kind.Value, traitTypes, true)
		switch {
		case ok && strings.EqualFold(near, kind.Value):
			// The rules say so already.
		case ok:
			in.advise(kind, "trait type '%s' %s; did you mean '%s'?", kind.Value, unknownTraitEnd, near)
		default:
			in.advise(kind, "trait type '%s' %s", kind.Value, unknownTraitEnd)
		}
	}
}

// scaler says what is wrong with the properties of a scaler.
func (in *inspector) scaler(kind, properties *yaml.Node) []finding {
	what := in.of("%s", kind.Value)
	if properties == nil || properties.Kind != yaml.MappingNode {
		return []finding{place(kind, "%s needs properties, at least 'instances'", what)}
	}
	wrong := unknownFields(properties, what, scalerFields)
	count := child(properties, "instances")
	if count == nil {
		count = child(properties, "replicas")
	}
	switch {
	case count == nil && len(wrong) > 0:
		// One of the unknown fields is it.
	case count == nil:
		wrong = append(wrong, place(properties, "%s needs 'instances'", what))
	case count.ShortTag() != "!!int" || strings.HasPrefix(count.Value, "-"):
		wrong = append(wrong, place(count, "%s: 'instances' must be a whole number of 0 or more", what))
	}
	spread := child(properties, "spread")
	if spread != nil && spread.Kind != yaml.SequenceNode && spread.ShortTag() != "!!null" {
		return append(wrong, place(spread, "%s: 'spread' must be a list", what))
	}
	for i, s := range items(spread) {
		what := in.of("spread %d of %s", i+1, kind.Value)
		name := child(s, "name")
		if name != nil && name.Value != "" {
			what = in.of("spread '%s' of %s", name.Value, kind.Value)
		}
		if s.Kind != yaml.MappingNode {
			wrong = append(wrong, place(s, "%s must have a name", what))
			continue
		}
		wrong = append(wrong, unknownFields(s, what, spreadFields)...)
		if name == nil {
			wrong = append(wrong, place(s, "%s needs 'name'", what))
		}
		if w := child(s, "weight"); w != nil && w.ShortTag() != "!!null" && (w.ShortTag() != "!!int" || strings.HasPrefix(w.Value, "-")) {
			wrong = append(wrong, place(w, "%s: 'weight' must be a whole number of 0 or more", what))
		}
		r := child(s, "requirements")
		if r != nil && r.Kind != yaml.MappingNode && r.ShortTag() != "!!null" {
			wrong = append(wrong, place(r, "%s: 'requirements' must be labels with their values", what))
			continue
		}
		for label, v := range fields(r) {
			if v.ShortTag() != "!!str" {
				wrong = append(wrong, place(v, "%s: the value of label '%s' must be text: put it in quotes", what, label))
			}
		}
	}
	return wrong
}

// link advises on the properties of a link: what it does not know it ignores, and
// without what it needs it is none.
func (in *inspector) link(kind, properties *yaml.Node) {
	what := in.of("link")
	var missing []string
	for _, f := range linkMust {
		if child(properties, f) == nil {
			missing = append(missing, "'"+f+"'")
		}
	}
	if len(missing) > 0 {
		in.advice = append(in.advice, place(kind, "%s has no %s and is not made", what, strings.Join(missing, ", ")))
	}
	unknown := unknownFields(properties, what, linkFields)
	for _, end := range []struct {
		name  string
		known []string
	}{{"target", targetFields}, {"source", sourceFields}} {
		unknown = append(unknown, unknownFields(child(properties, end.name), in.of("%s of link", end.name), end.known)...)
	}
	for _, f := range unknown {
		f.Message += " (ignored)"
		in.advice = append(in.advice, f)
	}
}

func (in *inspector) of(format string, args ...any) string {
	return fmt.Sprintf("component '%s': ", in.component) + fmt.Sprintf(format, args...)
}

func (in *inspector) advise(n *yaml.Node, format string, args ...any) {
	in.advice = append(in.advice, place(n, "%s", in.of(format, args...)))
}

// explain puts what is wrong with scalers in the place of words that only say
// that something is, if all of those can be explained.
func (in *inspector) explain(errors []finding) []finding {
	vague := 0
	for _, f := range errors {
		if strings.HasPrefix(f.Message, deserialized) {
			vague++
		}
	}
	if vague == 0 || vague != len(in.broken) {
		return errors
	}
	errors = slices.DeleteFunc(errors, func(f finding) bool { return strings.HasPrefix(f.Message, deserialized) })
	for _, wrong := range in.broken {
		errors = append(errors, wrong...)
	}
	return errors
}

// unknownFields tells of the fields of a mapping that are not known.
func unknownFields(n *yaml.Node, what string, known []string) []finding {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var out []finding
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if slices.Contains(known, key.Value) {
			continue
		}
		text := fmt.Sprintf("%s: unknown field '%s'", what, key.Value)
		if near, ok := spelling.Nearest(key.Value, known, true); ok {
			text += fmt.Sprintf("; did you mean '%s'?", near)
		} else {
			text += ", expected " + strings.Join(known, ", ")
		}
		out = append(out, place(key, "%s", text))
	}
	return out
}

// place is a finding at a node.
func place(n *yaml.Node, format string, args ...any) finding {
	return finding{Message: fmt.Sprintf(format, args...), Line: n.Line, Column: n.Column}
}

// child is the value of a field of a mapping, nil if there is none.
func child(n *yaml.Node, name string) *yaml.Node {
	for key, v := range fields(n) {
		if key == name {
			return v
		}
	}
	return nil
}

// fields goes through a mapping in order.
func fields(n *yaml.Node) func(yield func(string, *yaml.Node) bool) {
	return func(yield func(string, *yaml.Node) bool) {
		n = resolved(n)
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, resolved(n.Content[i+1])) {
				return
			}
		}
	}
}

// items is the content of a list.
func items(n *yaml.Node) []*yaml.Node {
	if n = resolved(n); n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	out := make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		out[i] = resolved(c)
	}
	return out
}

// resolved is what an alias stands for.
func resolved(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
