package lattice

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors of decoding. Whatever is wrong with an event, one of them is wrapped.
var (
	// ErrNotEvent: the bytes are no CloudEvent of a host.
	ErrNotEvent = errors.New("not a host event")
	// ErrUnknownKind: a well-formed event of a kind that means nothing here.
	ErrUnknownKind = errors.New("unknown kind of event")
	// ErrBadData: the data lacks what its kind needs.
	ErrBadData = errors.New("event data not usable")
)

// maxEvent bounds what is decoded, in bytes; the server's own limit is as large.
const maxEvent = 8 << 20

type envelope struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Type        string          `json:"type"`
	Source      string          `json:"source"`
	Time        string          `json:"time"`
	Data        json.RawMessage `json:"data"`
}

// wireEvent has the union of the fields of all kinds of data.
type wireEvent struct {
	Annotations  map[string]string `json:"annotations"`
	ImageRef     string            `json:"image_ref"`
	MaxInstances uint64            `json:"max_instances"`
	ComponentID  string            `json:"component_id"`
	ProviderID   string            `json:"provider_id"`
	ProviderRef  string            `json:"provider_ref"`
	HostID       string            `json:"host_id"`
	Error        string            `json:"error"`
	ConfigName   string            `json:"config_name"`
	Labels       map[string]string `json:"labels"`
	FriendlyName string            `json:"friendly_name"`
	Version      string            `json:"version"`
	Link
}

type wireInventory struct {
	Components []wireWorkload    `json:"components"`
	Actors     []wireWorkload    `json:"actors"`
	Providers  []wireWorkload    `json:"providers"`
	HostID     string            `json:"host_id"`
	ID         string            `json:"id"`
	Name       string            `json:"friendly_name"`
	Labels     map[string]string `json:"labels"`
	Version    string            `json:"version"`
}

type wireWorkload struct {
	ID           string            `json:"id"`
	PublicKey    string            `json:"public_key"`
	ImageRef     string            `json:"image_ref"`
	Annotations  map[string]string `json:"annotations"`
	MaxInstances uint64            `json:"max_instances"`
}

// DecodeEvent reads one host event leniently: unknown fields are ignored,
// absent annotations are empty, aliases of older hosts are understood.
func DecodeEvent(data []byte) (Event, error) {
	if len(data) > maxEvent {
		return Event{}, fmt.Errorf("decode event of %d bytes: %w", len(data), ErrNotEvent)
	}
	var env envelope
	if err := json.Unmarshal(data, &env); err != nil {
		return Event{}, fmt.Errorf("decode event: %w: %w", ErrNotEvent, err)
	}
	kind, ok := strings.CutPrefix(env.Type, TypePrefix)
	if !ok || env.Source == "" {
		return Event{}, fmt.Errorf("decode event of type %.80q: %w", env.Type, ErrNotEvent)
	}
	if !HostID(env.Source).Valid() {
		return Event{}, fmt.Errorf("decode event of host %.80q: no command could reach it: %w", env.Source, ErrNotEvent)
	}
	at, err := time.Parse(time.RFC3339Nano, env.Time)
	if err != nil {
		return Event{}, fmt.Errorf("decode event time: %w: %w", ErrNotEvent, err)
	}
	ev := Event{ID: env.ID, Kind: EventKind(kind), Host: HostID(env.Source), Time: at}
	if ev.Kind == HostHeartbeat {
		if ev.Inventory, err = DecodeInventory(env.Data); err != nil {
			return Event{}, fmt.Errorf("decode %s: %w", kind, err)
		}
		ev.Inventory.Host = ev.Host
		return ev, nil
	}
	var w wireEvent
	if len(env.Data) == 0 {
		return Event{}, fmt.Errorf("decode %.80s: no data: %w", kind, ErrBadData)
	}
	if err := json.Unmarshal(env.Data, &w); err != nil {
		return Event{}, fmt.Errorf("decode %.80s: %w: %w", kind, ErrBadData, err)
	}
	if err := ev.fill(w); err != nil {
		return Event{}, err
	}
	return ev, nil
}

// fill moves the fields of the event's kind out of w.
func (e *Event) fill(w wireEvent) error {
	need := func(name, value string) error {
		if value == "" {
			return fmt.Errorf("decode %s: no %s: %w", e.Kind, name, ErrBadData)
		}
		return nil
	}
	switch e.Kind {
	case HostStarted, HostStopped, LabelsChanged:
		e.Inventory = Inventory{Host: e.Host, FriendlyName: w.FriendlyName, Labels: nonNil(w.Labels), Version: w.Version}
		return nil
	case ComponentScaled, ComponentScaleFailed:
		e.Component = Component{ID: WorkloadID(w.ComponentID), Image: w.ImageRef, Annotations: nonNil(w.Annotations), Max: clamp(w.MaxInstances)}
		e.Error = w.Error
		return need("component_id", w.ComponentID)
	case ProviderStarted, ProviderStopped:
		e.Provider = Provider{ID: WorkloadID(w.ProviderID), Image: w.ImageRef, Annotations: nonNil(w.Annotations)}
		return need("provider_id", w.ProviderID)
	case ProviderStartFailed:
		e.Provider = Provider{ID: WorkloadID(w.ProviderID), Image: w.ProviderRef}
		e.Error = w.Error
		return need("provider_id", w.ProviderID)
	case HealthCheckPassed, HealthCheckFailed, HealthCheckStatus:
		e.Provider = Provider{ID: WorkloadID(w.ProviderID)}
		if id := HostID(w.HostID); id.Valid() {
			e.Host = id
		}
		return need("provider_id", w.ProviderID)
	case LinkSet, LinkSetFailed, LinkDeleted:
		e.Link = w.Link
		e.Error = w.Error
		return need("source_id", string(w.Source))
	case ConfigSet, ConfigDeleted:
		e.Config = w.ConfigName
		return need("config_name", w.ConfigName)
	default:
		return fmt.Errorf("decode event %.80q: %w", e.Kind, ErrUnknownKind)
	}
}

// DecodeInventory reads the body of a heartbeat or the response of host.get.
func DecodeInventory(data []byte) (Inventory, error) {
	if len(data) == 0 {
		return Inventory{}, fmt.Errorf("decode inventory: no data: %w", ErrBadData)
	}
	var w wireInventory
	if err := json.Unmarshal(data, &w); err != nil {
		return Inventory{}, fmt.Errorf("decode inventory: %w: %w", ErrBadData, err)
	}
	if w.Components == nil {
		w.Components = w.Actors
	}
	if w.Components == nil || w.Providers == nil {
		// Taking a missing list for an empty one would read as "everything stopped".
		return Inventory{}, fmt.Errorf("decode inventory: components or providers missing: %w", ErrBadData)
	}
	inv := Inventory{Host: HostID(w.HostID), FriendlyName: w.Name, Labels: nonNil(w.Labels), Version: w.Version}
	if inv.Host == "" {
		inv.Host = HostID(w.ID)
	}
	inv.Components = make([]Component, 0, len(w.Components))
	for _, c := range w.Components {
		if c.ID == "" {
			return Inventory{}, fmt.Errorf("decode inventory: component without id: %w", ErrBadData)
		}
		inv.Components = append(inv.Components, Component{ID: WorkloadID(c.ID), Image: c.ImageRef, Annotations: nonNil(c.Annotations), Max: clamp(c.MaxInstances)})
	}
	inv.Providers = make([]Provider, 0, len(w.Providers))
	for _, p := range w.Providers {
		if p.ID == "" {
			p.ID = p.PublicKey
		}
		if p.ID == "" {
			return Inventory{}, fmt.Errorf("decode inventory: provider without id: %w", ErrBadData)
		}
		inv.Providers = append(inv.Providers, Provider{ID: WorkloadID(p.ID), Image: p.ImageRef, Annotations: nonNil(p.Annotations)})
	}
	return inv, nil
}

func nonNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// clamp fits a count into what hosts store: larger values mean the same to them.
func clamp(n uint64) uint32 {
	const most = 1<<32 - 1
	if n > most {
		return most
	}
	return uint32(n)
}

// BareImage strips a provider reference the way hosts do before they report it,
// so that what was asked for and what runs can be compared.
func BareImage(ref string) string {
	for _, scheme := range []string{"oci://", "http://", "https://", "file://", "wasmcloud+builtin://"} {
		if rest, ok := strings.CutPrefix(ref, scheme); ok {
			return rest
		}
	}
	return ref
}
