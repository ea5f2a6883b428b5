package manifest

import (
	"slices"
	"strconv"
	"strings"
)

// decoder builds a manifest from nodes of either format.
//
// Two zones differ in how they read YAML: in most of a manifest a scalar's
// source text counts, so the decoder sees plain nodes and takes them as text;
// properties are resolved first, so that the same code sees numbers there and
// refuses them where a string belongs. JSON has no plain nodes.
type decoder struct{ yaml bool }

// at is a fault in the value n.
func (d decoder) at(n *node, what string) *fault {
	switch {
	case d.yaml:
		return n.fault(what)
	case n.kind == sequence || n.kind == mapping:
		return placed(n.start, what)
	default:
		return placed(n.end, what)
	}
}

// after is a fault in the whole of n, found when it ended.
func (d decoder) after(n *node, what string) *fault {
	if d.yaml {
		return n.fault(what)
	}
	return placed(n.end, what)
}

// wrong says that n is not what was expected.
func (d decoder) wrong(n *node, expected string) *fault {
	return d.at(n, "invalid type: "+d.describe(n)+", expected "+expected)
}

func (d decoder) describe(n *node) string {
	if n.kind == plain {
		if r, f := n.resolvedScalar(); f == nil {
			n = r
		}
	}
	switch n.kind {
	case null:
		if d.yaml {
			return "unit value"
		}
		return "null"
	case boolean:
		return "boolean `" + strconv.FormatBool(n.yes) + "`"
	case integer:
		return "integer `" + string(n.num.appendInteger(nil)) + "`"
	case float:
		s := strconv.FormatFloat(n.num.float, 'f', -1, 64)
		if !strings.ContainsAny(s, ".NI") {
			s += ".0"
		}
		return "floating point `" + s + "`"
	case sequence:
		return "sequence"
	case mapping:
		return "map"
	default:
		return "string " + quote(clip(n.str))
	}
}

func missing(field string) string { return "missing field `" + field + "`" }

func unknownField(name string, known []string) string {
	return "unknown field `" + clip(name) + "`, " + expectedOne(known)
}

func expectedOne(known []string) string {
	if len(known) == 2 {
		return "expected `" + known[0] + "` or `" + known[1] + "`"
	}
	return "expected one of `" + strings.Join(known, "`, `") + "`"
}

// shape describes a structure: its name in messages, its fields, and what
// happens to others.
type shape struct {
	name     string
	fields   []string
	required []string
	closed   bool
	// also are fields that are understood but not listed in messages.
	also []string
}

func (s shape) knows(field string) bool {
	return slices.Contains(s.fields, field) || slices.Contains(s.also, field)
}

// typed gives the values of YAML scalars their types; JSON has them already.
func (d decoder) typed(n *node) (*node, *fault) {
	if !d.yaml {
		return n, nil
	}
	return n.resolved()
}

// structure reads a mapping field by field, in the order of the source, so that
// the first fault in the text is the one reported.
func (d decoder) structure(n *node, s shape, field func(name string, v *node) *fault) *fault {
	if n.kind != mapping && !n.isBlank() {
		return d.wrong(n, "struct "+s.name)
	}
	seen := make(map[string]bool, len(s.fields))
	for i := 0; i < len(n.list); i += 2 {
		k, v := n.list[i], n.list[i+1]
		if !k.isString() {
			return d.wrong(k, "field identifier")
		}
		if !s.knows(k.str) {
			if s.closed {
				return d.at(k, unknownField(k.str, s.fields))
			}
			continue
		}
		if seen[k.str] {
			return d.duplicate(n, k)
		}
		seen[k.str] = true
		if f := field(k.str, v); f != nil {
			return f.within(k.str)
		}
	}
	for _, r := range s.required {
		if !seen[r] {
			return d.after(n, missing(r))
		}
	}
	return nil
}

// duplicate is a fault of the mapping n in YAML, of its key k in JSON.
func (d decoder) duplicate(n, k *node) *fault {
	what := "duplicate field `" + clip(k.str) + "`"
	if d.yaml {
		return n.fault(what)
	}
	return placed(k.end, what)
}

func (d decoder) text(n *node, to *string) *fault {
	if !n.isString() {
		return d.wrong(n, "a string")
	}
	*to = n.str
	return nil
}

// isNull tells whether an optional value was given as null.
func isNull(n *node) bool {
	if n.kind == plain && (n.tag == "" || n.tag == "!!null") {
		return n.isBlank() || isNullWord(n.str)
	}
	return n.kind == null
}

func (d decoder) optionalText(n *node, to **string) *fault {
	if isNull(n) {
		*to = nil
		return nil
	}
	var s string
	if f := d.text(n, &s); f != nil {
		return f
	}
	*to = &s
	return nil
}

// stringMap reads a map of strings, in which the last of equal keys wins. An
// empty one comes out as empty, not as nil.
func (d decoder) stringMap(n *node, to *map[string]string) *fault {
	if n.kind != mapping && !n.isBlank() {
		return d.wrong(n, "a map")
	}
	m := make(map[string]string, len(n.list)/2)
	for i := 0; i < len(n.list); i += 2 {
		var k, v string
		if f := d.text(n.list[i], &k); f != nil {
			return f
		}
		if f := d.text(n.list[i+1], &v); f != nil {
			return f.within(clip(k))
		}
		m[k] = v
	}
	*to = m
	return nil
}

// nonEmpty makes nil of an empty map where the two mean the same.
func nonEmpty(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return m
}

func listOf[T any](d decoder, n *node, one func(*node) (T, *fault)) ([]T, *fault) {
	if n.kind != sequence && !n.isBlank() {
		return nil, d.wrong(n, "a sequence")
	}
	if len(n.list) == 0 {
		return nil, nil
	}
	out := make([]T, 0, len(n.list))
	for i, e := range n.list {
		v, f := one(e)
		if f != nil {
			return nil, f.within("[" + strconv.Itoa(i) + "]")
		}
		out = append(out, v)
	}
	return out, nil
}

var (
	manifestFields = []string{"apiVersion", "kind", "metadata", "spec"}
	manifestShape  = shape{name: "Manifest", closed: true, fields: manifestFields, required: manifestFields}
	// Annotations are required by older servers and left out of their own output
	// when empty; here both forms are read.
	metadataShape = shape{name: "Metadata", fields: []string{"name", "annotations", "labels"}, required: []string{"name"}}
	specShape     = shape{name: "Specification", fields: []string{"components", "policies"}, required: []string{"components"}}
	policyFields  = []string{"name", "properties", "type"}
	policyShape   = shape{name: "Policy", fields: policyFields, required: policyFields}
)

func (d decoder) manifest(n *node) (*Manifest, *fault) {
	m := &Manifest{}
	f := d.structure(n, manifestShape, func(name string, v *node) *fault {
		switch name {
		case "apiVersion":
			return d.text(v, &m.APIVersion)
		case "kind":
			return d.text(v, &m.Kind)
		case "metadata":
			return d.metadata(v, &m.Metadata)
		default:
			return d.spec(v, &m.Spec)
		}
	})
	if f != nil {
		return nil, f
	}
	return m, nil
}

func (d decoder) metadata(n *node, to *Metadata) *fault {
	f := d.structure(n, metadataShape, func(name string, v *node) *fault {
		switch name {
		case "name":
			return d.text(v, &to.Name)
		case "annotations":
			return d.stringMap(v, &to.Annotations)
		default:
			return d.stringMap(v, &to.Labels)
		}
	})
	to.Annotations, to.Labels = nonEmpty(to.Annotations), nonEmpty(to.Labels)
	return f
}

func (d decoder) spec(n *node, to *Spec) *fault {
	return d.structure(n, specShape, func(name string, v *node) (f *fault) {
		if name == "components" {
			to.Components, f = listOf(d, v, d.component)
		} else {
			to.Policies, f = listOf(d, v, d.policy)
		}
		return f
	})
}

func (d decoder) policy(n *node) (Policy, *fault) {
	var p Policy
	f := d.structure(n, policyShape, func(name string, v *node) *fault {
		switch name {
		case "name":
			return d.text(v, &p.Name)
		case "properties":
			return d.stringMap(v, &p.Properties)
		default:
			return d.text(v, &p.Type)
		}
	})
	p.Properties = nonEmpty(p.Properties)
	return p, f
}
