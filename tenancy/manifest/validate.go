package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Level tells failures that refuse a manifest from those that do not.
type Level string

// The levels of a failure.
const (
	Error   Level = "Error"
	Warning Level = "Warning"
)

// Failure is one broken rule, in the words clients know.
type Failure struct {
	Level   Level  `json:"level"`
	Message string `json:"msg"`
}

// String gives the form that is printed: "[error] …" or "[warning] …".
func (f Failure) String() string {
	if f.Level == Error {
		return "[error] " + f.Message
	}
	return "[warning] " + f.Message
}

// FirstError gives the failure that refuses a manifest, if there is one.
func FirstError(failures []Failure) (Failure, bool) {
	for _, f := range failures {
		if f.Level == Error {
			return f, true
		}
	}
	return Failure{}, false
}

// PolicySecret is the type of the policies that secrets may refer to.
const PolicySecret = "policy.secret.wasmcloud.dev/v1alpha1"

// VersionLatest is the one version a manifest cannot have.
const VersionLatest = "latest"

// backendProperty names the secret backend in a policy.
const backendProperty = "backend"

// Validate applies every rule and reports every failure, in the order in which
// clients know them: the first of level [Error] is the answer to a put. It
// changes nothing and knows nothing outside m.
func (m *Manifest) Validate() []Failure {
	v := validator{m: m, components: make(map[string]bool, len(m.Spec.Components))}
	for _, c := range m.Spec.Components {
		v.components[c.Name] = true
	}
	v.metadata()
	v.names()
	v.interfaces()
	v.links()
	v.secrets()
	v.shapes()
	v.sources()
	v.duplicateLinks()
	v.duplicateConfigs()
	return v.failures
}

type validator struct {
	m          *Manifest
	components map[string]bool
	failures   []Failure
}

// verbatim is an argument of a message that is bounded already.
type verbatim string

func (v *validator) errorf(format string, args ...any) { v.add(Error, format, args) }
func (v *validator) warnf(format string, args ...any)  { v.add(Warning, format, args) }

// add clips every name, because one long name can stand in many messages.
func (v *validator) add(level Level, format string, args []any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = clip(s)
		}
	}
	v.failures = append(v.failures, Failure{level, fmt.Sprintf(format, args...)})
}

func (v *validator) metadata() {
	meta := &v.m.Metadata
	if !isAppName(meta.Name) {
		v.errorf("manifest name [%s] is not allowed (should match regex [^[-\\w]+$])", meta.Name)
	}
	if version, ok := v.m.Version(); ok && version == VersionLatest {
		v.errorf("latest is not allowed in wadm")
	}
	for _, k := range slices.Sorted(maps.Keys(meta.Labels)) {
		if !isMetadataKey(k) {
			v.errorf("Invalid OAM label: (%s, %s)", verbatim(quote(clip(k))), verbatim(quote(clip(meta.Labels[k]))))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(meta.Annotations)) {
		if !isMetadataKey(k) {
			v.errorf("Invalid OAM annotation: (%s, %s)", verbatim(quote(clip(k))), verbatim(quote(clip(meta.Annotations[k]))))
		}
	}
}

// names looks for repeated names and ids and for links to nowhere.
func (v *validator) names() {
	names, ids, absent := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i := range v.m.Spec.Components {
		c := &v.m.Spec.Components[i]
		if names[c.Name] {
			v.errorf("Duplicate component name in manifest: %s", c.Name)
		}
		names[c.Name] = true
		if id := c.Properties.ID; id != nil {
			if ids[*id] {
				v.errorf("Duplicate component identifier in manifest: %s", *id)
			}
			ids[*id] = true
		}
		for _, t := range c.Traits {
			if t.Link != nil && !v.components[t.Link.Target.Name] {
				absent[t.Link.Target.Name] = true
			}
		}
	}
	if len(absent) > 0 {
		v.errorf("The following capability component(s) are missing from the manifest: %s",
			verbatim(clipLong(quoteList(slices.Sorted(maps.Keys(absent))))))
	}
}

// each calls f for every trait of type link, in the order of the manifest.
func (v *validator) each(f func(c *Component, t *Trait)) {
	for i := range v.m.Spec.Components {
		c := &v.m.Spec.Components[i]
		for j := range c.Traits {
			if c.Traits[j].Type == TraitLink {
				f(c, &c.Traits[j])
			}
		}
	}
}

func (v *validator) interfaces() {
	v.each(func(_ *Component, t *Trait) {
		if t.Link == nil {
			return
		}
		for _, i := range t.Link.Interfaces {
			if isUnrecognised(t.Link.Namespace, t.Link.Package, i) {
				v.warnf("unrecognized interface [%s:%s/%s]", t.Link.Namespace, t.Link.Package, i)
			}
		}
	})
}

func (v *validator) links() {
	v.each(func(_ *Component, t *Trait) {
		switch {
		case t.Link != nil:
			target := t.Link.Target.Name
			switch {
			case v.components[target]:
			case t.Link.Name != nil:
				v.warnf("link (name [%s]) target [%s] is not a listed component", *t.Link.Name, target)
			default:
				v.warnf("link (target [%s]) target [%s] is not a listed component", target, target)
			}
		case t.Spread != nil:
			// Upstream crashes here (D1). The trait is a link that has the shape of
			// a scaler, so it gets the message of every other malformed link.
			v.malformed("Link", t)
		default:
			v.customLink(t.Custom)
		}
	})
}

func (v *validator) customLink(custom json.RawMessage) {
	var link map[string]json.RawMessage
	if err := json.Unmarshal(custom, &link); err != nil {
		link = nil
	}
	target, ok := link["target"]
	if !ok {
		v.errorf("custom link is missing 'target' property")
		return
	}
	var named struct{ fields map[string]json.RawMessage }
	var name *string
	if err := json.Unmarshal(target, &named.fields); err == nil {
		if err := json.Unmarshal(named.fields["name"], &name); err != nil {
			name = nil
		}
	}
	switch {
	case name == nil:
		v.errorf("custom link is missing 'target' name property")
	case !v.components[*name]:
		v.warnf("custom link target [%s] is not a listed component", *name)
	}
}

func (v *validator) malformed(what string, t *Trait) {
	w := writer{}
	w.traitProperties(t)
	v.errorf("%s trait deserialized as custom trait, ensure fields are correct: %s", what, verbatim(clipLong(string(w.b))))
}

// clipLong bounds a quoted value more generously than a name: it is what shows
// the author the mistake.
func clipLong(s string) string {
	const most = 8 << 10
	if len(s) <= most {
		return s
	}
	return s[:most] + clip(s[most:])
}

func (v *validator) secrets() {
	policies := make(map[string]*Policy, len(v.m.Spec.Policies))
	for i := range v.m.Spec.Policies {
		policies[v.m.Spec.Policies[i].Name] = &v.m.Spec.Policies[i]
	}
	check := func(list []Secret) {
		for _, s := range list {
			p, ok := policies[s.Policy]
			if !ok {
				v.errorf("secret '%s' is mapped to unknown policy '%s'", s.Name, s.Policy)
			} else if err := p.usable(s.Name); err != nil {
				v.failures = append(v.failures, Failure{Error, err.Error()})
			}
		}
	}
	for _, c := range v.m.Spec.Components {
		for _, t := range c.Traits {
			if t.Link == nil {
				continue
			}
			check(t.Link.Target.Secrets)
			if t.Link.Source != nil {
				check(t.Link.Source.Secrets)
			}
		}
		check(c.Properties.Secrets)
	}
}

// usable says why a secret cannot refer to p.
func (p *Policy) usable(secret string) error {
	if p.Type != PolicySecret {
		return fmt.Errorf("secret '%s' is mapped to policy '%s' which is not a secret policy. Expected type '%s'", clip(secret), clip(p.Name), PolicySecret)
	}
	if _, ok := p.Properties[backendProperty]; !ok {
		return fmt.Errorf("secret '%s' is mapped to policy '%s' which does not include a 'backend' property", clip(secret), clip(p.Name))
	}
	return nil
}

// shapes finds traits whose properties do not have the shape of their type.
func (v *validator) shapes() {
	for i := range v.m.Spec.Components {
		for j := range v.m.Spec.Components[i].Traits {
			t := &v.m.Spec.Components[i].Traits[j]
			if t.Link != nil || t.Spread != nil {
				continue
			}
			switch t.Type {
			case TraitLink:
				v.malformed("Link", t)
			case TraitSpreadScaler, TraitDaemonScaler:
				v.malformed("Scaler", t)
			}
		}
	}
}

// sources checks where each component comes from: an image, or a component of
// a shared application that it may not configure.
func (v *validator) sources() {
	for i := range v.m.Spec.Components {
		c := &v.m.Spec.Components[i]
		p := &c.Properties
		isScaler := func(t Trait) bool { return t.Type == TraitSpreadScaler || t.Type == TraitDaemonScaler }
		switch {
		case p.Image != nil && p.Application != nil:
			v.errorf("Component cannot have both 'image' and 'application' properties")
		case p.Image == nil && p.Application == nil:
			v.errorf("Component must have either 'image' or 'application' property")
		case p.Application == nil:
		case len(p.Config) > 0:
			v.errorf("Shared component '%s' cannot specify additional 'config'", p.Application.Name)
		case len(p.Secrets) > 0:
			v.errorf("Shared component '%s' cannot specify additional 'secrets'", p.Application.Name)
		case slices.ContainsFunc(c.Traits, isScaler):
			v.errorf("Shared component '%s' cannot include a scaler trait", p.Application.Name)
		}
	}
}

// duplicateLinks: what a component calls through an interface must be decided
// by the link's name alone, whatever the targets.
func (v *validator) duplicateLinks() {
	type entry struct{ component, name, namespace, pkg, iface string }
	for i := range v.m.Spec.Components {
		c := &v.m.Spec.Components[i]
		seen := map[entry]bool{}
		for _, t := range c.Traits {
			if t.Type != TraitLink || t.Link == nil {
				continue
			}
			for _, iface := range t.Link.Interfaces {
				e := entry{c.Name, t.Link.LinkName(), t.Link.Namespace, t.Link.Package, iface}
				if seen[e] {
					v.errorf("Duplicate link found inside component '%s': %s (%s:%s/%s)", e.component, e.name, e.namespace, e.pkg, e.iface)
				}
				seen[e] = true
			}
		}
	}
}

func (v *validator) duplicateConfigs() {
	seen := map[string]bool{}
	check := func(list []Config) {
		for _, c := range list {
			if c.Properties == nil {
				continue
			}
			if seen[c.Name] {
				v.errorf("Duplicate link config name found: '%s'", c.Name)
			}
			seen[c.Name] = true
		}
	}
	v.each(func(_ *Component, t *Trait) {
		if t.Link == nil {
			return
		}
		check(t.Link.Target.Config)
		if t.Link.Source != nil {
			check(t.Link.Source.Config)
		}
	})
}
