package core

import (
	"maps"
	"slices"
)

// RepublishAll is Republish for every application whose status was told.
func (s *State) RepublishAll() { s.Republish(slices.Collect(maps.Keys(s.published))) }

// Vacant reports whether there is nothing to act for and nothing to remember: no
// host, no application, nothing of ours that is left or may come back, and no
// snapshot to be stored.
func (s *State) Vacant() bool {
	return s.desired && !s.recovering && !s.stale && !s.fewer && len(s.hosts)+len(s.apps)+len(s.frozen)+len(s.known)+
		len(s.units)+len(s.links)+len(s.configs)+len(s.retired)+len(s.flights)+len(s.looking) == 0
}
