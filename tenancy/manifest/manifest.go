// Package manifest reads, checks, names and writes application manifests in
// the Open Application Model dialect that wadm speaks.
//
// It guarantees: [Parse] never panics and never spends more than its [Budget];
// whatever it accepts has exactly one canonical form, [Manifest.MarshalJSON],
// which parses back to the same value; [Manifest.Validate] reports every
// failure of the rules in the order in which clients expect them. The package
// is pure: no NATS, clock, logger or context.
package manifest

import "encoding/json"

// Manifest is the desired state of one application.
type Manifest struct {
	APIVersion string
	Kind       string
	Metadata   Metadata
	Spec       Spec
}

// Metadata names and annotates an application. Nil and empty maps are the same.
type Metadata struct {
	Name        string
	Annotations map[string]string
	Labels      map[string]string
}

// Spec lists what an application consists of.
type Spec struct {
	Components []Component
	Policies   []Policy
}

// Policy is a named set of properties that secrets refer to.
type Policy struct {
	Name       string
	Properties map[string]string
	Type       string
}

// ComponentType tells a scaled workload from a long-lived provider.
type ComponentType string

// The two component types; "actor" is read as TypeComponent.
const (
	TypeComponent  ComponentType = "component"
	TypeCapability ComponentType = "capability"
)

// Component is one entry of a manifest: a component or a capability provider.
type Component struct {
	Name       string
	Type       ComponentType
	Properties Properties
	// Traits is nil when absent and empty but not nil when given as [].
	Traits []Trait
}

// Properties says what a component runs. Pointers are nil when absent.
type Properties struct {
	Image       *string
	Application *SharedRef
	ID          *string
	Config      []Config
	Secrets     []Secret
}

// SharedRef points at a component of another, shared application.
type SharedRef struct {
	Name      string
	Component string
}

// Config names a configuration. With Properties (possibly empty, not nil) the
// application owns it; with nil Properties it is managed by someone else.
type Config struct {
	Name       string
	Properties map[string]string
}

// Secret refers to a secret by way of a policy of the manifest.
type Secret struct {
	Name    string
	Policy  string
	Key     string
	Field   *string
	Version *string
}

// Trait is a rule attached to a component. Exactly one of Link, Spread and
// Custom is set; which one is decided by the shape of the properties, not by Type.
type Trait struct {
	Type   string
	Link   *Link
	Spread *SpreadScaler
	// Custom is any other JSON value, in canonical form (keys sorted).
	Custom json.RawMessage
}

// The trait types that mean something to the scheduler.
const (
	TraitLink         = "link"
	TraitSpreadScaler = "spreadscaler"
	TraitDaemonScaler = "daemonscaler"
)

// Link is a named, configured connection to another component.
type Link struct {
	Namespace  string
	Package    string
	Interfaces []string
	// Source is nil when absent.
	Source *LinkEnd
	Target LinkTarget
	// Name is nil when absent, which means "default".
	Name *string
}

// LinkEnd is the configuration of one end of a link.
type LinkEnd struct {
	Config  []Config
	Secrets []Secret
}

// LinkTarget is the far end of a link.
type LinkTarget struct {
	Name string
	LinkEnd
}

// SpreadScaler is the shape shared by spread and daemon scalers.
type SpreadScaler struct {
	Instances uint64
	Spread    []Spread
}

// Spread is a share of the instances for the hosts that carry its labels.
type Spread struct {
	Name         string
	Requirements map[string]string
	// Weight is nil when absent, which means 100.
	Weight *uint64
}

// Annotation keys of a manifest that mean something to the scheduler.
const (
	AnnotationVersion     = "version"
	AnnotationDescription = "description"
	AnnotationShared      = "experimental.wasmcloud.dev/shared"
)

// Version is the version annotation, and whether there is one.
func (m *Manifest) Version() (string, bool) {
	v, ok := m.Metadata.Annotations[AnnotationVersion]
	return v, ok
}

// Shared tells whether other applications may refer to this one's components.
func (m *Manifest) Shared() bool { return m.Metadata.Annotations[AnnotationShared] == "true" }
