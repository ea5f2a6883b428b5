package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// MarshalJSON writes the canonical form: the one in which manifests are stored,
// returned and compared. Equal manifests have equal bytes, and the bytes parse
// back to an equal manifest.
//
// Call it directly where bytes matter: [json.Marshal] would escape <, > and &.
func (m Manifest) MarshalJSON() ([]byte, error) {
	for _, c := range m.Spec.Components {
		for _, t := range c.Traits {
			if t.Link == nil && t.Spread == nil && t.Custom != nil && !json.Valid(t.Custom) {
				return nil, fmt.Errorf("encode manifest: trait %q of component %q is not JSON", clip(t.Type), clip(c.Name))
			}
		}
	}
	w := writer{b: make([]byte, 0, 1024)}
	w.manifest(&m)
	return w.b, nil
}

// EventJSON writes m with the keys of every object in alphabetical order, as
// the data of published events has them.
func (m *Manifest) EventJSON() ([]byte, error) {
	b, err := m.MarshalJSON()
	if err != nil {
		return nil, err
	}
	n, f := readJSON(b, Budget{Bytes: len(b), Nodes: len(b), Expanded: len(b), Depth: 10_000, Keys: len(b), Scalar: len(b)})
	if f != nil {
		return nil, fmt.Errorf("encode manifest: %w", f)
	}
	n, _ = n.canonical()
	return n.appendTo(make([]byte, 0, len(b))), nil
}

// UnmarshalJSON reads the canonical form and what older servers stored. It
// allows more than the default [Budget], because it is meant for records that
// were checked when they were put.
func (m *Manifest) UnmarshalJSON(data []byte) error {
	read, f := parseJSON(data, storedBudget())
	if f != nil {
		return fmt.Errorf("decode manifest: %w", f)
	}
	*m = *read
	return nil
}

// writer appends compact JSON with fields in a fixed order.
type writer struct {
	b []byte
	// first says that no field of the current object has been written.
	first bool
}

func (w *writer) open()  { w.b, w.first = append(w.b, '{'), true }
func (w *writer) close() { w.b, w.first = append(w.b, '}'), false }

func (w *writer) key(k string) {
	if !w.first {
		w.b = append(w.b, ',')
	}
	w.first = false
	w.b = appendString(w.b, k)
	w.b = append(w.b, ':')
}

func (w *writer) text(k, v string) {
	w.key(k)
	w.b = appendString(w.b, v)
}

func (w *writer) optional(k string, v *string) {
	if v != nil {
		w.text(k, *v)
	}
}

func (w *writer) number(k string, v uint64) {
	w.key(k)
	w.b = strconv.AppendUint(w.b, v, 10)
}

func (w *writer) stringMap(k string, m map[string]string) {
	w.key(k)
	w.open()
	for _, k := range slices.Sorted(maps.Keys(m)) {
		w.text(k, m[k])
	}
	w.close()
}

func listTo[T any](w *writer, k string, list []T, one func(*T)) {
	w.key(k)
	w.b = append(w.b, '[')
	for i := range list {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		one(&list[i])
	}
	w.b, w.first = append(w.b, ']'), false
}

func (w *writer) manifest(m *Manifest) {
	w.open()
	w.text("apiVersion", m.APIVersion)
	w.text("kind", m.Kind)
	w.key("metadata")
	w.open()
	w.text("name", m.Metadata.Name)
	if len(m.Metadata.Annotations) > 0 {
		w.stringMap("annotations", m.Metadata.Annotations)
	}
	if len(m.Metadata.Labels) > 0 {
		w.stringMap("labels", m.Metadata.Labels)
	}
	w.close()
	w.key("spec")
	w.open()
	listTo(w, "components", m.Spec.Components, w.component)
	if len(m.Spec.Policies) > 0 {
		listTo(w, "policies", m.Spec.Policies, w.policy)
	}
	w.close()
	w.close()
}

func (w *writer) policy(p *Policy) {
	w.open()
	w.text("name", p.Name)
	w.stringMap("properties", p.Properties)
	w.text("type", p.Type)
	w.close()
}

func (w *writer) component(c *Component) {
	w.open()
	w.text("name", c.Name)
	w.text("type", string(c.Type))
	w.key("properties")
	w.open()
	w.optional("image", c.Properties.Image)
	if a := c.Properties.Application; a != nil {
		w.key("application")
		w.open()
		w.text("name", a.Name)
		w.text("component", a.Component)
		w.close()
	}
	w.optional("id", c.Properties.ID)
	w.end(&LinkEnd{Config: c.Properties.Config, Secrets: c.Properties.Secrets})
	w.close()
	if c.Traits != nil {
		listTo(w, "traits", c.Traits, w.trait)
	}
	w.close()
}

// end writes the two lists that components and both ends of links share.
func (w *writer) end(e *LinkEnd) {
	if len(e.Config) > 0 {
		listTo(w, "config", e.Config, w.config)
	}
	if len(e.Secrets) > 0 {
		listTo(w, "secrets", e.Secrets, w.secret)
	}
}

func (w *writer) config(c *Config) {
	w.open()
	w.text("name", c.Name)
	if c.Properties != nil {
		w.stringMap("properties", c.Properties)
	}
	w.close()
}

func (w *writer) secret(s *Secret) {
	w.open()
	w.text("name", s.Name)
	w.key("properties")
	w.open()
	w.text("policy", s.Policy)
	w.text("key", s.Key)
	w.optional("field", s.Field)
	w.optional("version", s.Version)
	w.close()
	w.close()
}

func (w *writer) trait(t *Trait) {
	w.open()
	w.text("type", t.Type)
	w.key("properties")
	w.traitProperties(t)
	w.close()
}

func (w *writer) traitProperties(t *Trait) {
	switch {
	case t.Link != nil:
		w.link(t.Link)
	case t.Spread != nil:
		w.scaler(t.Spread)
	case t.Custom != nil:
		w.b = append(w.b, t.Custom...)
	default:
		w.b = append(w.b, "null"...)
	}
	w.first = false
}

func (w *writer) link(l *Link) {
	w.open()
	w.text("namespace", l.Namespace)
	w.text("package", l.Package)
	listTo(w, "interfaces", l.Interfaces, func(s *string) { w.b = appendString(w.b, *s) })
	if l.Source != nil {
		w.key("source")
		w.open()
		w.end(l.Source)
		w.close()
	}
	w.key("target")
	w.open()
	w.text("name", l.Target.Name)
	w.end(&l.Target.LinkEnd)
	w.close()
	w.optional("name", l.Name)
	w.close()
}

func (w *writer) scaler(s *SpreadScaler) {
	w.open()
	w.number("instances", s.Instances)
	if len(s.Spread) > 0 {
		listTo(w, "spread", s.Spread, w.spread)
	}
	w.close()
}

// spread writes requirements even when there are none: older servers and
// clients take a spread without them for something unknown.
func (w *writer) spread(s *Spread) {
	w.open()
	w.text("name", s.Name)
	w.stringMap("requirements", s.Requirements)
	if s.Weight != nil {
		w.number("weight", *s.Weight)
	}
	w.close()
}
