package manifest

import (
	"fmt"
	"math"
	"strings"
)

// Advice says what is allowed and probably not meant: things that upstream
// accepts in silence and that then do not happen, or do happen twice. It refuses
// nothing and is in the order of the manifest.
func (m *Manifest) Advice() []string {
	a := adviser{m: m, ids: map[string]string{}}
	for i := range m.Spec.Components {
		c := &m.Spec.Components[i]
		a.identity(c)
		a.scalers(c)
		a.links(c)
	}
	return a.advice
}

type adviser struct {
	m      *Manifest
	ids    map[string]string // id to the name of the component that has it
	advice []string
}

func (a *adviser) say(format string, args ...any) {
	for i, v := range args {
		if s, ok := v.(string); ok {
			args[i] = clip(s)
		}
	}
	a.advice = append(a.advice, fmt.Sprintf(format, args...))
}

func (a *adviser) identity(c *Component) {
	id := c.id(a.m.Metadata.Name)
	if other, taken := a.ids[id]; taken && other != c.Name {
		a.say("components '%s' and '%s' have the same id '%s': hosts cannot tell them apart", other, c.Name, id)
		return
	}
	a.ids[id] = c.Name
}

func (a *adviser) scalers(c *Component) {
	scalers := 0
	for i := range c.Traits {
		t := &c.Traits[i]
		wanted := t.Type == TraitSpreadScaler || t.Type == TraitDaemonScaler
		switch {
		case t.Spread != nil && wanted:
			scalers++
			a.spreads(c, t)
		case t.Link != nil && wanted:
			a.say("component '%s': a trait of type '%s' holds the properties of a link and has no effect", c.Name, t.Type)
		case t.Type == TraitLink, wanted:
		case strings.EqualFold(t.Type, TraitLink), strings.EqualFold(t.Type, TraitSpreadScaler), strings.EqualFold(t.Type, TraitDaemonScaler):
			a.say("component '%s': trait type '%s' is unknown and has no effect; did you mean '%s'?", c.Name, t.Type, strings.ToLower(t.Type))
		}
	}
	switch {
	case scalers > 1:
		a.say("component '%s' has %d scaler traits: they count the same instances and work against each other", c.Name, scalers)
	case scalers == 0 && c.Type == TypeComponent && c.Properties.Image != nil:
		a.say("component '%s' has no scaler trait and is never started", c.Name)
	}
}

func (a *adviser) spreads(c *Component, t *Trait) {
	if t.Spread.Instances > math.MaxUint32 {
		a.say("component '%s' wants %d instances: hosts count to %d", c.Name, t.Spread.Instances, uint64(math.MaxUint32))
	}
	names := map[string]bool{}
	zero := len(t.Spread.Spread) > 0
	for _, s := range t.Spread.Spread {
		if names[s.Name] {
			a.say("component '%s' has more than one spread named '%s': they are counted as one", c.Name, s.Name)
		}
		names[s.Name] = true
		zero = zero && s.Weight != nil && *s.Weight == 0
	}
	if zero && t.Type == TraitSpreadScaler {
		a.say("component '%s': all spreads have weight 0; they are taken as equal", c.Name)
	}
}

func (a *adviser) links(c *Component) {
	if c.Type != TypeCapability {
		return
	}
	for i := range c.Traits {
		l := c.Traits[i].Link
		if l == nil || c.Traits[i].Type != TraitLink {
			continue
		}
		if target := a.m.Component(l.Target.Name); target != nil && target.Type == TypeCapability {
			a.say("the link from '%s' to '%s' joins two capabilities and is never made", c.Name, target.Name)
		}
	}
}
