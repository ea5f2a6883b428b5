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

// sanitise lower-cases name and puts one underscore for each character that is
// neither an ASCII letter nor a digit. Different names can give one result.
func sanitise(name string) string {
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
	return sanitise(app) + "-" + sanitise(component)
}

// id is the id of c in the application app; see [ComponentID].
func (c *Component) id(app string) string {
	component := c.Name
	if ref := c.Properties.Application; ref != nil {
		app, component = ref.Name, ref.Component
	}
	return ComponentID(app, component, c.Properties.ID)
}

// ConfigName is the name of c in the lattice's config store: derived when the
// application owns it, literal when somebody else does.
func ConfigName(app string, c Config) string {
	if c.Properties == nil {
		return c.Name
	}
	return sanitise(app) + "-" + sanitise(c.Name)
}

// secretPrefix is how hosts tell secrets from other configs.
const secretPrefix = "SECRET_"

// SecretName is the name of s in the lattice's config store.
func SecretName(app string, s Secret) string {
	return secretPrefix + sanitise(app) + "-" + sanitise(s.Name)
}

// ScalerID hashes the parts of which a scaler's id is made, joined without
// separators, to 64 lower-case hex digits.
func ScalerID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
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
