// Package lattice holds what is observed of a lattice and what can be asked of
// it: the events hosts emit, the inventory they report, and the commands the
// scheduler may send.
//
// It is pure: decoding and folding need no NATS, clock, logger or context. The
// wire forms are those of wasmCloud 1.x hosts.
package lattice

import (
	"fmt"
	"time"
)

// HostID is a host's public key.
type HostID string

// Called writes the id for people: after the name of the host, if it has one.
func (id HostID) Called(name string) string {
	if name == "" {
		return string(id)
	}
	return name + " (" + string(id) + ")"
}

// MaxHostID bounds a host's id, in bytes; real ones have 56.
const MaxHostID = 256

// Valid tells whether the id can be a token of a subject: 1 to MaxHostID printable
// ASCII characters without a space, '.', '*' and '>'. A host with another one
// could be given work and never be told.
func (id HostID) Valid() bool {
	if id == "" || len(id) > MaxHostID {
		return false
	}
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c >= 0x7f || c == '.' || c == '*' || c == '>' {
			return false
		}
	}
	return true
}

// WorkloadID is the id of a component or a provider; hosts key their tables by it.
type WorkloadID string

// Annotation keys and the manager's value on everything the scheduler starts.
const (
	AnnotationManagedBy = "wasmcloud.dev/managed-by"
	AnnotationApp       = "wasmcloud.dev/appspec"
	AnnotationScaler    = "wasmcloud.dev/scaler"
	AnnotationSpread    = "wasmcloud.dev/spread_name"
	ManagedBy           = "wadm"
)

// Inventory is everything a host runs: the body of a heartbeat and of the
// reply to host.get.
type Inventory struct {
	Host         HostID
	FriendlyName string
	Labels       map[string]string
	Version      string
	Components   []Component
	Providers    []Provider
}

// Component is one component of an inventory. Max is the limit of concurrent
// instances that the manifest calls "instances".
type Component struct {
	ID          WorkloadID
	Image       string
	Annotations map[string]string
	Max         uint32
}

// Provider is one provider of an inventory. Image has its scheme stripped.
type Provider struct {
	ID          WorkloadID
	Image       string
	Annotations map[string]string
	// Health is what an earlier owner knew; hosts list none.
	Health Health `json:",omitempty"`
}

// Link is a named, configured connection from a source to a target.
type Link struct {
	Source       WorkloadID `json:"source_id"`
	Target       WorkloadID `json:"target"`
	Name         string     `json:"name"`
	Namespace    string     `json:"wit_namespace"`
	Package      string     `json:"wit_package"`
	Interfaces   []string   `json:"interfaces"`
	SourceConfig []string   `json:"source_config"`
	TargetConfig []string   `json:"target_config"`
}

// EventKind is what happened, without the type prefix of the wire.
type EventKind string

// The events of a 1.x host.
const (
	HostStarted          EventKind = "host_started"
	HostStopped          EventKind = "host_stopped"
	HostHeartbeat        EventKind = "host_heartbeat"
	ComponentScaled      EventKind = "component_scaled"
	ComponentScaleFailed EventKind = "component_scale_failed"
	ProviderStarted      EventKind = "provider_started"
	ProviderStartFailed  EventKind = "provider_start_failed"
	ProviderStopped      EventKind = "provider_stopped"
	HealthCheckPassed    EventKind = "health_check_passed"
	HealthCheckFailed    EventKind = "health_check_failed"
	HealthCheckStatus    EventKind = "health_check_status"
	LinkSet              EventKind = "linkdef_set"
	LinkSetFailed        EventKind = "linkdef_set_failed"
	LinkDeleted          EventKind = "linkdef_deleted"
	ConfigSet            EventKind = "config_set"
	ConfigDeleted        EventKind = "config_deleted"
	LabelsChanged        EventKind = "labels_changed"
)

// Event is one decoded host event. Only the fields of its kind are set.
type Event struct {
	ID   string
	Kind EventKind
	// Host is the CloudEvent's source; for health checks the host of the data.
	Host HostID
	// Time is the host's own time of the event. It orders the facts of one host.
	Time time.Time

	// Inventory is set for host_heartbeat; for host_started, host_stopped and
	// labels_changed only its labels, name and version are.
	Inventory Inventory
	// Component is set for component_scaled and component_scale_failed.
	Component Component
	// Provider is set for the provider and health events.
	Provider Provider
	// Link is set for linkdef_set, linkdef_set_failed and linkdef_deleted.
	Link Link
	// Config is the name for config_set and config_deleted.
	Config string
	// Error is the host's text for the failed kinds.
	Error string
}

// CommandKind is what is asked of a host or of the lattice.
type CommandKind string

// Everything the scheduler can ask for.
const (
	ScaleComponent  CommandKind = "scale_component"
	UpdateComponent CommandKind = "update_component"
	StartProvider   CommandKind = "start_provider"
	StopProvider    CommandKind = "stop_provider"
	PutLink         CommandKind = "put_link"
	DeleteLink      CommandKind = "delete_link"
	PutConfig       CommandKind = "put_config"
	DeleteConfig    CommandKind = "delete_config"
)

// Command is one absolute, idempotent request. Its JSON form is what the ledger stores.
type Command struct {
	// ID is derived from the target and its generation, never minted: the same
	// decision gives the same id.
	ID   string      `json:"id"`
	Kind CommandKind `json:"kind"`
	// Host is empty for links and configs: any host of the lattice answers those.
	Host        HostID            `json:"host,omitempty"`
	Workload    WorkloadID        `json:"workload,omitempty"`
	Image       string            `json:"image,omitempty"`
	Count       uint32            `json:"count,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	// Config lists the configuration names of a workload, secrets last.
	Config      []string          `json:"config,omitempty"`
	Link        *Link             `json:"link,omitempty"`
	ConfigName  string            `json:"config_name,omitempty"`
	ConfigValue map[string]string `json:"config_value,omitempty"`

	App    string `json:"app,omitempty"`
	Scaler string `json:"scaler,omitempty"`
	// Reason says in one line why the command was decided.
	Reason string `json:"reason"`
	// Cause is the id of the event, request or timer that led to it.
	Cause string `json:"cause,omitempty"`
	// TraceParent is the W3C trace context of the decision.
	TraceParent string `json:"traceparent,omitempty"`
	// SentAt is when the command was decided, by the owner's clock.
	SentAt time.Time `json:"sent_at"`
}

// Target says in words what the command acts on.
func (c *Command) Target() string {
	switch {
	case c.Link != nil:
		l := c.Link
		return fmt.Sprintf("link %s -(%s:%s)-> %s %q", l.Source, l.Namespace, l.Package, l.Target, l.Name)
	case c.ConfigName != "":
		return "configuration " + c.ConfigName
	}
	return fmt.Sprintf("%s on host %s", c.Workload, c.Host)
}

// Outcome is what is known after a control request. Refused, Undelivered and
// Unsent are definite; after Accepted and Unknown an event or an inventory
// decides.
type Outcome int

// The outcomes of a control request.
const (
	// Accepted: the host answered success. Work may still go on behind it.
	Accepted Outcome = iota
	// Refused: the host answered success=false; Message says why.
	Refused
	// Undelivered: nobody listens on the subject, so nothing happened.
	Undelivered
	// Unknown: no answer in time or an unreadable one. It may still happen.
	Unknown
	// Unsent: the owner kept it back, which says nothing of the host.
	Unsent
)

func (o Outcome) String() string {
	switch o {
	case Accepted:
		return "accepted"
	case Refused:
		return "refused"
	case Undelivered:
		return "undelivered"
	case Unsent:
		return "unsent"
	default:
		return "unknown"
	}
}

// Reply is the answer to a command.
type Reply struct {
	Outcome Outcome
	Message string
}
