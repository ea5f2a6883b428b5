package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// The ids below are stored on running workloads and in lattices, by us and by
// upstream alike: whoever computes other ids takes running work for foreign.

// DefaultLinkName is the name of a link that gives none.
const DefaultLinkName = "default"

// LinkName is the name of l, DefaultLinkName if it gives none.
func (l *Link) LinkName() string {
	if l.Name == nil {
		return DefaultLinkName
	}
	return *l.Name
}

// Sanitise lower-cases name and puts one underscore for each character that is
// neither an ASCII letter nor a digit. Different names can give one result.
func Sanitise(name string) string {
	var b strings.Builder
	b.Grow(len(name))
	for _, r := range name {
		if r == 'İ' {
			// The one letter whose lower case is two characters.
			b.WriteString("i_")
			continue
		}
		r = unicode.ToLower(r)
		if r < 0x80 && isAlphanumeric(byte(r)) {
			b.WriteByte(byte(r))
		} else {
			b.WriteByte('_')
		}
	}
	return b.String()
}

// ComponentID is the id under which hosts know a component or provider: the
// explicit one, or one made of the names of application and component. For a
// shared reference the names are those of the other application.
func ComponentID(app, component string, explicit *string) string {
	if explicit != nil {
		return *explicit
	}
	return Sanitise(app) + "-" + Sanitise(component)
}

// Origin gives the application and the component name that c is known by:
// those of the shared application it refers to, or its own.
func (c *Component) Origin(app string) (application, component string) {
	if ref := c.Properties.Application; ref != nil {
		return ref.Name, ref.Component
	}
	return app, c.Name
}

// ID is the id of c in the application app; see [ComponentID].
func (c *Component) ID(app string) string {
	application, component := c.Origin(app)
	return ComponentID(application, component, c.Properties.ID)
}

// ConfigName is the name of c in the lattice's config store: derived when the
// application owns it, literal when somebody else does.
func ConfigName(app string, c Config) string {
	if c.Properties == nil {
		return c.Name
	}
	return Sanitise(app) + "-" + Sanitise(c.Name)
}

// SecretPrefix is how hosts tell secrets from other configs.
const SecretPrefix = "SECRET_"

// SecretName is the name of s in the lattice's config store.
func SecretName(app string, s Secret) string {
	return SecretPrefix + Sanitise(app) + "-" + Sanitise(s.Name)
}

// Names lists what a workload or one end of a link is configured with, by the
// names in the config store: configs in order, then secrets in order.
func (e *LinkEnd) Names(app string) []string {
	if e == nil || len(e.Config)+len(e.Secrets) == 0 {
		return nil
	}
	names := make([]string, 0, len(e.Config)+len(e.Secrets))
	for _, c := range e.Config {
		names = append(names, ConfigName(app, c))
	}
	for _, s := range e.Secrets {
		names = append(names, SecretName(app, s))
	}
	return names
}

// Names lists what a component is configured with; see [LinkEnd.Names].
func (p *Properties) Names(app string) []string {
	return (&LinkEnd{Config: p.Config, Secrets: p.Secrets}).Names(app)
}

// The kinds of scalers, as they appear in ids and in status.
const (
	KindSpread = "SpreadScaler"
	KindDaemon = "DaemonScaler"
	KindLink   = "LinkScaler"
)

// ScalerID hashes parts, joined without separators, to 64 lower-case hex digits.
func ScalerID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

// SpreadID is the id of the spread scaler of c in the application app. Counts
// and spreads are no part of it, so changing them keeps what runs.
func SpreadID(app string, c *Component) string { return workloadID(KindSpread, app, c) }

// DaemonID is the id of the daemon scaler of c in the application app.
func DaemonID(app string, c *Component) string { return workloadID(KindDaemon, app, c) }

func workloadID(kind, app string, c *Component) string {
	application, component := c.Origin(app)
	parts := []string{kind, application, component, c.ID(app), ""}
	if c.Properties.Image != nil {
		parts[4] = *c.Properties.Image
	}
	return ScalerID(append(parts, c.Properties.Names(app)...)...)
}

// LinkID is the id of the link scaler of l from source to target, both
// components of the manifest app.
func LinkID(app string, source *Component, l *Link, target *Component) string {
	owner, _ := source.Origin(app)
	parts := []string{KindLink, owner, l.LinkName(), source.ID(app), target.ID(app), l.Namespace, l.Package}
	parts = append(parts, l.Interfaces...)
	parts = append(parts, l.Source.Names(app)...)
	parts = append(parts, l.Target.Names(app)...)
	return ScalerID(parts...)
}

// The types inside the stored value of a secret.
const (
	secretType           = "secret.wasmcloud.dev/v1alpha1"
	secretPropertiesType = "properties.secret.wasmcloud.dev/v1alpha1"
)

// SecretValue is what is stored under [SecretName]: where hosts find the secret,
// not the secret itself. It fails when p is not a policy for secrets.
func SecretValue(s Secret, p Policy) (map[string]string, error) {
	if err := p.usable(s.Name); err != nil {
		return nil, fmt.Errorf("encode secret: %w", err)
	}
	v := map[string]string{
		"name":    s.Name,
		"type":    secretType,
		"backend": p.Properties[backendProperty],
		"key":     s.Key,
	}
	if s.Field != nil {
		v["field"] = *s.Field
	}
	if s.Version != nil {
		v["version"] = *s.Version
	}
	rest := make(map[string]string, len(p.Properties))
	for k, value := range p.Properties {
		if k != backendProperty {
			rest[k] = value
		}
	}
	w := writer{}
	w.open()
	w.text("type", secretPropertiesType)
	w.stringMap("properties", rest)
	w.close()
	v["policy"] = string(w.b)
	return v, nil
}

// Policy gives the policy of that name; of several the last counts.
func (m *Manifest) Policy(name string) (Policy, bool) {
	for _, p := range slices.Backward(m.Spec.Policies) {
		if p.Name == name {
			return p, true
		}
	}
	return Policy{}, false
}

// Component gives the component of that name, or nil.
func (m *Manifest) Component(name string) *Component {
	for i := range m.Spec.Components {
		if m.Spec.Components[i].Name == name {
			return &m.Spec.Components[i]
		}
	}
	return nil
}
