package simhost

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"wadm/scheduler/lattice"
)

// WaitFor returns nil once cond is true, and ctx's cause if that ends first.
// cond is asked again after every change of the lattice; it may call all
// methods of the lattice and its hosts that only look.
func (l *Lattice) WaitFor(ctx context.Context, cond func() bool) error {
	for {
		l.mu.Lock()
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		if cond() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for lattice %s: %w", l.name, context.Cause(ctx))
		}
	}
}

// Hosts lists the hosts alive, by id.
func (l *Lattice) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*Host, 0, len(l.hosts))
	for _, id := range slices.Sorted(maps.Keys(l.hosts)) {
		out = append(out, l.hosts[id])
	}
	return out
}

// Host returns the host alive with that id, or nil.
func (l *Lattice) Host(id lattice.HostID) *Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hosts[id]
}

// Instances tells where a component runs and with how many instances.
func (l *Lattice) Instances(id lattice.WorkloadID) map[lattice.HostID]uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[lattice.HostID]uint32{}
	for host, h := range l.hosts {
		if c := h.component(string(id)); c != nil {
			out[host] = c.max
		}
	}
	return out
}

// Providers lists the hosts a provider runs on, sorted.
func (l *Lattice) Providers(id lattice.WorkloadID) []lattice.HostID {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []lattice.HostID
	for host, h := range l.hosts {
		if h.provider(string(id)) != nil {
			out = append(out, host)
		}
	}
	slices.Sort(out)
	return out
}

// Links lists the links as stored, by source.
func (l *Lattice) Links() []lattice.Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []lattice.Link{}
	for _, source := range slices.Sorted(maps.Keys(l.store.records)) {
		out = append(out, l.store.records[source].links...)
	}
	return out
}

// Configs returns the configurations as stored.
func (l *Lattice) Configs() map[string]map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]map[string]string{}
	for name, c := range l.store.configs {
		out[name] = maps.Clone(c.value)
	}
	return out
}

// Inventory is what the host would show if it could be asked now, unfinished
// work not included.
func (h *Host) Inventory() lattice.Inventory {
	h.lattice.mu.Lock()
	defer h.lattice.mu.Unlock()
	inv := lattice.Inventory{
		Host: h.id, FriendlyName: h.friendlyName, Labels: maps.Clone(h.labels.m), Version: h.lattice.cfg.Version,
	}
	for _, c := range h.components {
		inv.Components = append(inv.Components, lattice.Component{ID: lattice.WorkloadID(c.id), Image: c.image, Annotations: maps.Clone(c.annotations.m), Max: c.max})
	}
	for _, p := range h.providers {
		inv.Providers = append(inv.Providers, lattice.Provider{ID: lattice.WorkloadID(p.id), Image: p.image, Annotations: maps.Clone(p.annotations.m)})
	}
	return inv
}

// Code is the image a component really runs, which after a scale to another
// image is not the one the host reports. Empty when it does not run.
func (h *Host) Code(id lattice.WorkloadID) string {
	h.lattice.mu.Lock()
	defer h.lattice.mu.Unlock()
	if c := h.component(string(id)); c != nil {
		return c.code
	}
	return ""
}
