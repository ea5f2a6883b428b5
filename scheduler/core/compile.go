package core

import (
	"cmp"
	"fmt"
	"slices"

	"wadm/scheduler/lattice"
	"wadm/tenancy"
	"wadm/tenancy/manifest"
)

// Scaler kinds as clients see them.
const (
	kindSpread = "SpreadScaler"
	kindDaemon = "DaemonScaler"
	kindLink   = "LinkScaler"
)

const defaultSpread = "default"

// scaler is one rule of a manifest.
type scaler struct {
	app, kind, id, name string

	// Workload scalers.
	workload  lattice.Workload
	component string
	daemon    bool
	image     string
	// configs names what the workload is started with, secrets last.
	configs []string
	spreads []spread

	// link is set for link scalers.
	link *lattice.Link

	// fixed is the status of a rule that cannot become work.
	fixed *tenancy.StatusInfo

	// status is the result of the last evaluation, reason its reason as a code.
	status tenancy.StatusInfo
	reason Reason
}

// ownedConfig is a configuration an application owns.
type ownedConfig struct {
	name  string
	value map[string]string
	err   string
}

// app is a deployed application, compiled.
type app struct {
	name      string
	manifest  *manifest.Manifest
	canonical string
	scalers   []*scaler
	configs   []ownedConfig
	// refers is true when components of other applications are meant.
	refers bool
	// notes tell what of the manifest has no effect.
	notes []string
}

// equal tells whether another compilation of the same manifest came to the same.
func (a *app) equal(b *app) bool {
	sameRule := func(x, y *scaler) bool { return x.id == y.id && x.name == y.name }
	return slices.EqualFunc(a.scalers, b.scalers, sameRule) && slices.Equal(a.notes, b.notes)
}

// textUnshared is what a status tells of a reference to nothing.
const textUnshared = "Shared component %q of application %q is not deployed"

// maxNotes bounds what a status tells of parts without effect.
const maxNotes = 3

// note tells of the traits that mean nothing to the scheduler, which are stored and
// shown like all others, and of shared components that nobody shares any more.
func (a *app) note(m *manifest.Manifest, apps map[string]*manifest.Manifest) {
	var ignored []string
	for i := range m.Spec.Components {
		c := &m.Spec.Components[i]
		if ref := c.Properties.Application; ref != nil && c.Properties.Image == nil && !isShared(apps[ref.Name], ref.Component, c.Type) {
			a.notes = append(a.notes, fmt.Sprintf(textUnshared, clipped(ref.Component), clipped(ref.Name)))
		}
		for _, t := range c.Traits {
			switch t.Type {
			case manifest.TraitLink, manifest.TraitSpreadScaler, manifest.TraitDaemonScaler:
				continue
			}
			n := fmt.Sprintf(textIgnored, clipped(t.Type), clipped(c.Name))
			if !slices.Contains(ignored, n) {
				ignored = append(ignored, n)
			}
		}
	}
	if more := len(ignored) - maxNotes; more > 0 {
		ignored = append(ignored[:maxNotes], fmt.Sprintf("%d more traits are not supported and ignored", more))
	}
	if more := len(a.notes) - maxNotes; more > 0 {
		a.notes = append(a.notes[:maxNotes], fmt.Sprintf("%d more shared components are not deployed", more))
	}
	a.notes = append(a.notes, ignored...)
}

// isShared tells whether other applications may use a component of m.
func isShared(m *manifest.Manifest, component string, kind manifest.ComponentType) bool {
	return m != nil && m.Shared() && slices.ContainsFunc(m.Spec.Components, func(c manifest.Component) bool {
		return c.Name == component && c.Type == kind
	})
}

// clipped shortens a name of the manifest for a message.
func clipped(name string) string {
	const most = 64
	if r := []rune(name); len(r) > most {
		return string(r[:most]) + "…"
	}
	return name
}

// compile turns a manifest into scalers in the order of the public status.
// apps are the other deployed applications, for shared references.
func compile(name string, m *manifest.Manifest, canonical string, apps map[string]*manifest.Manifest) *app {
	a := &app{name: name, manifest: m, canonical: canonical}
	a.note(m, apps)
	byName := make(map[string]*manifest.Component, len(m.Spec.Components))
	for i := range m.Spec.Components {
		byName[m.Spec.Components[i].Name] = &m.Spec.Components[i]
	}
	policies := make(map[string]manifest.Policy, len(m.Spec.Policies))
	for _, p := range m.Spec.Policies {
		policies[p.Name] = p
	}
	for i := range m.Spec.Components {
		c := &m.Spec.Components[i]
		id, owner, component := identify(name, c, apps)
		if c.Properties.Application != nil {
			a.refers = true
		}
		configs := a.registerConfigs(c.Properties.Config, c.Properties.Secrets, policies)
		provider := c.Type == manifest.TypeCapability
		fixed := misfit(c)
		scaled := false
		for _, t := range c.Traits {
			switch {
			case t.Type == manifest.TraitLink && t.Link != nil:
				target := byName[t.Link.Target.Name]
				if target == nil || (provider && target.Type == manifest.TypeCapability) {
					continue
				}
				targetID, _, _ := identify(name, target, apps)
				s := a.linkScaler(t.Link, id, targetID, owner, policies)
				if s.fixed = fixed; fixed != nil {
					s.name = fmt.Sprintf("%s -(%s:%s)-> %s", c.Name, t.Link.Namespace, t.Link.Package, t.Link.Target.Name)
				}
				a.scalers = append(a.scalers, s)
			case (t.Type == manifest.TraitSpreadScaler || t.Type == manifest.TraitDaemonScaler) && t.Spread != nil:
				if c.Properties.Application != nil && c.Properties.Image == nil {
					continue
				}
				scaled = true
				s := &scaler{app: name, kind: kindSpread, workload: lattice.Workload{ID: id, Provider: provider}, component: component, configs: configs, fixed: fixed}
				if t.Type == manifest.TraitDaemonScaler {
					s.kind, s.daemon, s.spreads = kindDaemon, true, everyHost(t.Spread)
				} else {
					s.spreads = shares(t.Spread)
				}
				a.scalers = append(a.scalers, s.named(c))
			}
		}
		if provider && !scaled && (c.Properties.Image != nil || fixed != nil) {
			s := &scaler{app: name, kind: kindSpread, workload: lattice.ProviderOf(id), component: component, configs: configs, fixed: fixed,
				spreads: []spread{{name: defaultSpread, count: 1}}}
			a.scalers = append(a.scalers, s.named(c))
		}
	}
	return a
}

// misfit is the status of a component that says both or neither of what it runs.
// Validation refuses it; a record of an older server may hold it.
func misfit(c *manifest.Component) *tenancy.StatusInfo {
	switch {
	case c.Properties.Image == nil && c.Properties.Application == nil:
		return &tenancy.StatusInfo{Type: tenancy.StatusFailed, Message: "Application did not specify an image or shared application reference"}
	case c.Properties.Image != nil && c.Properties.Application != nil:
		return &tenancy.StatusInfo{Type: tenancy.StatusFailed, Message: "Application specified both an image and a shared application reference"}
	}
	return nil
}

// identify resolves a component to the id it runs under, and to the application
// and component that own it: another's for a shared reference, whose id is what
// its own application says as long as that is deployed.
func identify(name string, c *manifest.Component, apps map[string]*manifest.Manifest) (id lattice.WorkloadID, owner, component string) {
	ref := c.Properties.Application
	if ref == nil || c.Properties.Image != nil {
		return lattice.WorkloadID(manifest.ComponentID(name, c.Name, c.Properties.ID)), name, c.Name
	}
	explicit := c.Properties.ID
	if m := apps[ref.Name]; m != nil {
		for i := range m.Spec.Components {
			if o := &m.Spec.Components[i]; o.Name == ref.Component {
				explicit = o.Properties.ID
			}
		}
	}
	return lattice.WorkloadID(manifest.ComponentID(ref.Name, ref.Component, explicit)), ref.Name, ref.Component
}

func (s *scaler) named(c *manifest.Component) *scaler {
	s.name = string(s.workload.ID)
	if c.Properties.Image != nil {
		s.image = *c.Properties.Image
	}
	if s.fixed != nil {
		s.name = c.Name
		s.status = *s.fixed
	}
	s.id = s.idFor(s.kind, s.image)
	return s
}

// idFor is the scaler id this rule would have with another kind or image. What
// an instance is annotated with so tells whether its configuration names are
// the wanted ones.
func (s *scaler) idFor(kind, image string) string {
	parts := append([]string{kind, s.app, s.component, string(s.workload.ID), image}, s.configs...)
	return manifest.ScalerID(parts...)
}

// registerConfigs notes the configurations and secrets a workload or a link end
// needs and returns their names in order, secrets last.
func (a *app) registerConfigs(configs []manifest.Config, secrets []manifest.Secret, policies map[string]manifest.Policy) []string {
	names := make([]string, 0, len(configs)+len(secrets))
	for _, c := range configs {
		n := manifest.ConfigName(a.name, c)
		names = append(names, n)
		if c.Properties != nil {
			a.configs = append(a.configs, ownedConfig{name: n, value: c.Properties})
		}
	}
	for _, s := range secrets {
		n := manifest.SecretName(a.name, s)
		names = append(names, n)
		value, err := manifest.SecretValue(s, policies[s.Policy])
		oc := ownedConfig{name: n, value: value}
		if err != nil {
			oc.err = fmt.Sprintf("Failed to convert secret config to map: %v.", err)
		}
		a.configs = append(a.configs, oc)
	}
	return names
}

func (a *app) linkScaler(l *manifest.Link, source, target lattice.WorkloadID, owner string, policies map[string]manifest.Policy) *scaler {
	name := l.LinkName()
	link := lattice.Link{
		// A host takes an empty name for the default one.
		Source: source, Target: target, Name: cmp.Or(name, manifest.DefaultLinkName), Namespace: l.Namespace, Package: l.Package,
		Interfaces: slices.Clone(l.Interfaces), SourceConfig: []string{},
		TargetConfig: a.registerConfigs(l.Target.Config, l.Target.Secrets, policies),
	}
	if link.Interfaces == nil {
		link.Interfaces = []string{}
	}
	if l.Source != nil {
		link.SourceConfig = a.registerConfigs(l.Source.Config, l.Source.Secrets, policies)
	}
	parts := []string{kindLink, owner, name, string(source), string(target), l.Namespace, l.Package}
	parts = append(parts, link.Interfaces...)
	parts = append(parts, link.SourceConfig...)
	parts = append(parts, link.TargetConfig...)
	return &scaler{
		app: a.name, kind: kindLink, id: manifest.ScalerID(parts...), link: &link,
		name: fmt.Sprintf("%s -(%s:%s)-> %s", source, l.Namespace, l.Package, target),
	}
}

// annotations is what the scaler's instances of a spread carry.
func (s *scaler) annotations(spread, scalerID string) map[string]string {
	return map[string]string{
		lattice.AnnotationManagedBy: lattice.ManagedBy,
		lattice.AnnotationApp:       s.app,
		lattice.AnnotationScaler:    scalerID,
		lattice.AnnotationSpread:    spread,
	}
}

// matchesImage compares what runs with what is wanted; hosts report provider
// references without their scheme.
func (s *scaler) matchesImage(image string) bool {
	if s.workload.Provider {
		return lattice.BareImage(image) == lattice.BareImage(s.image)
	}
	return image == s.image
}

// sameConfigs tells from the rule that an instance was made for whether it has the
// configuration names wanted now. The id is a hash over image and names, so the
// wanted names with the running image give it away.
func (s *scaler) sameConfigs(i *lattice.Instance, have string) bool {
	image := i.Image
	if s.workload.Provider && lattice.BareImage(i.Image) == lattice.BareImage(s.image) {
		image = s.image
	}
	return have == s.idFor(kindSpread, image) || have == s.idFor(kindDaemon, image)
}
