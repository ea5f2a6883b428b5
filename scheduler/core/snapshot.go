package core

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"wadm/scheduler/lattice"
)

// snapshot is what a successor has to know that it can't ask the hosts: which
// links and configurations are ours, and which applications still have a status.
// The hosts are in it so that one that is mute just now is not taken for gone.
type snapshot struct {
	Apps    []string            `json:"apps"`
	Links   []snapshotLink      `json:"links,omitempty"`
	Configs []snapshotConfig    `json:"configs,omitempty"`
	Kept    []snapshotKept      `json:"kept,omitempty"`
	Hosts   []lattice.Inventory `json:"hosts,omitempty"`
}

type snapshotLink struct {
	ID    lattice.LinkID `json:"id"`
	Owner string         `json:"owner"`
}

type snapshotConfig struct {
	Name      string             `json:"name"`
	Owner     string             `json:"owner"`
	Workloads []lattice.Workload `json:"workloads,omitempty"`
	Links     []lattice.LinkID   `json:"links,omitempty"`
}

// snapshotKept says for which rule an instance runs although its annotations name
// another one; see kept.
type snapshotKept struct {
	Workload lattice.Workload `json:"workload"`
	Host     lattice.HostID   `json:"host"`
	Made     string           `json:"made"`
	Scaler   string           `json:"scaler"`
	Spread   string           `json:"spread"`
}

// Snapshot encodes what a successor needs; see Start.
func (s *State) Snapshot() []byte {
	s.stale, s.hostsText = false, nil
	return s.snapshot()
}

// snapshot is Snapshot for when a command waits for it: what the last one said of
// the hosts is good enough, and most of the work in a large lattice.
func (s *State) snapshot() []byte {
	s.dirtyState, s.fewer = false, false
	snap := snapshot{Apps: slices.Sorted(maps.Keys(s.known))}
	for _, id := range slices.SortedFunc(maps.Keys(s.links), compareLinks) {
		if l := s.links[id]; l.made {
			snap.Links = append(snap.Links, snapshotLink{ID: id, Owner: l.owner})
		}
	}
	for _, n := range slices.Sorted(maps.Keys(s.configs)) {
		if c := s.configs[n]; c.made {
			snap.Configs = append(snap.Configs, snapshotConfig{
				Name: n, Owner: c.owner,
				Workloads: slices.SortedFunc(maps.Keys(c.workloads), lattice.Workload.Compare),
				Links:     slices.SortedFunc(maps.Keys(c.links), compareLinks),
			})
		}
	}
	for _, w := range slices.SortedFunc(maps.Keys(s.kept), lattice.Workload.Compare) {
		for _, id := range slices.Sorted(maps.Keys(s.kept[w])) {
			k := s.kept[w][id]
			snap.Kept = append(snap.Kept, snapshotKept{Workload: w, Host: id, Made: k.made, Scaler: k.scaler, Spread: k.spread})
		}
	}
	b := encodeSnapshot(snap)
	if s.hostless {
		return b
	}
	if s.hostsText == nil {
		hosts := make([]lattice.Inventory, 0, len(s.hosts))
		for _, h := range s.hosts {
			hosts = append(hosts, h.Inventory())
		}
		s.hostsText, s.stale = encodeSnapshot(hosts), false
	}
	return fmt.Appendf(b[:len(b)-1], `,"hosts":%s}`, s.hostsText)
}

// OmitHosts leaves the hosts out of every later snapshot, which is for lattices
// whose whole one is too large to be stored. Their changes then make no snapshot
// stale.
func (s *State) OmitHosts() { s.hostless = true }

func encodeSnapshot(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		// Strings, numbers and maps of strings always encode.
		panic(fmt.Sprintf("encode snapshot: %v", err))
	}
	return b
}

// restore takes over what a previous owner stored.
func (s *State) restore(b []byte, now time.Time) error {
	if len(b) == 0 {
		return nil
	}
	var snap snapshot
	if err := json.Unmarshal(b, &snap); err != nil {
		return fmt.Errorf("decode snapshot: %w", err)
	}
	for _, a := range snap.Apps {
		s.known[a] = true
	}
	for _, l := range snap.Links {
		t := s.links[l.ID]
		if t == nil {
			t = &linkTarget{owner: l.Owner}
			s.links[l.ID] = t
			s.listLink(l.ID)
		}
		t.made, t.late = true, now.Add(s.cfg.CommandDeadline)
	}
	for _, c := range snap.Configs {
		t := s.config(c.Name)
		if t.made, t.late = true, now.Add(s.cfg.CommandDeadline); t.owner == "" {
			t.owner = c.Owner
		}
		for _, w := range c.Workloads {
			t.workloads[w] = true
		}
		for _, id := range c.Links {
			t.links[id] = true
		}
	}
	for _, k := range snap.Kept {
		put(s.kept, k.Workload, k.Host, kept{made: k.Made, scaler: k.Scaler, spread: k.Spread})
	}
	for _, inv := range snap.Hosts {
		if inv.Host != "" {
			s.obs.Restore(inv, now)
			s.listHost(inv.Host)
			s.spoke(s.obs.Hosts[inv.Host])
		}
	}
	s.index()
	return nil
}
