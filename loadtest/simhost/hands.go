package simhost

import (
	"fmt"

	"wadm/scheduler/lattice"
)

// RemoveComponent stops a component as an operator would: by a scale to 0 that
// no scheduler sent.
func (h *Host) RemoveComponent(id lattice.WorkloadID) error {
	h.lattice.mu.Lock()
	defer h.lattice.unlock()
	if !h.alive {
		return ErrHostGone
	}
	c := h.component(string(id))
	if c == nil {
		return fmt.Errorf("remove component %s: %w", id, ErrNotRunning)
	}
	h.scale(scale{id: c.id, ref: c.image, hostID: string(h.id)}, nil, func() {})
	return nil
}

// RemoveProvider stops a provider as an operator would.
func (h *Host) RemoveProvider(id lattice.WorkloadID) error {
	h.lattice.mu.Lock()
	defer h.lattice.unlock()
	if !h.alive {
		return ErrHostGone
	}
	if h.provider(string(id)) == nil {
		return fmt.Errorf("remove provider %s: %w", id, ErrNotRunning)
	}
	h.providerTable.use(func() {
		if p := h.provider(string(id)); p != nil {
			h.shutDown(p, string(h.id), func() {})
		}
	})
	return nil
}

// StartComponent starts or scales a component as somebody other than the
// scheduler. Without wadm's annotations it is foreign work, and a command that
// touches it a violation. It goes the way every start goes: fetch, compile.
func (h *Host) StartComponent(c lattice.Component) error {
	h.lattice.mu.Lock()
	defer h.lattice.unlock()
	if !h.alive {
		return ErrHostGone
	}
	h.scale(scale{id: string(c.ID), ref: c.Image, hostID: string(h.id), annotations: c.Annotations, count: c.Max, config: []string{}}, nil, func() {})
	return nil
}

// StartProvider starts a provider as somebody other than the scheduler.
func (h *Host) StartProvider(p lattice.Provider) error {
	h.lattice.mu.Lock()
	defer h.lattice.unlock()
	if !h.alive {
		return ErrHostGone
	}
	if h.provider(string(p.ID)) != nil {
		return fmt.Errorf("start provider %s: %w", p.ID, ErrRunning)
	}
	h.launch(start{id: string(p.ID), ref: p.Image, hostID: string(h.id), annotations: p.Annotations}, func() {})
	return nil
}

// SetProviderHealth decides how a provider answers from now on.
func (h *Host) SetProviderHealth(id lattice.WorkloadID, health Health) error {
	h.lattice.mu.Lock()
	defer h.lattice.unlock()
	p := h.provider(string(id))
	if p == nil || !h.alive {
		return fmt.Errorf("set health of %s: %w", id, ErrNotRunning)
	}
	p.health = health
	return nil
}

// SeedLink stores a link of somebody else; a command that changes or deletes it
// is a violation. No event tells of it.
func (l *Lattice) SeedLink(k lattice.Link) error {
	l.mu.Lock()
	defer l.unlock()
	if _, refusal := l.putLink(k); refusal != "" {
		return fmt.Errorf("seed link: %s", refusal)
	}
	l.store.foreignLinks[keyOf(k)] = true
	return nil
}

// SeedConfig stores a configuration of somebody else; a command that changes or
// deletes it is a violation. No event tells of it.
func (l *Lattice) SeedConfig(name string, value map[string]string) error {
	if !validKey(name) {
		return fmt.Errorf("seed config: name %q is no key", name)
	}
	l.mu.Lock()
	defer l.unlock()
	l.store.configs[name] = config{l.dict(value).m}
	l.store.foreignConfigs[name] = true
	return nil
}

// SetFaults changes the faults of the network from now on.
func (l *Lattice) SetFaults(f Faults) error {
	if err := (Config{Faults: f}).Validate(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.unlock()
	l.cfg.Faults = f
	return nil
}
