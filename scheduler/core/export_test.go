package core

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"wadm/scheduler/lattice"
)

// CheckLinks compares the indexes of links with what a walk over all links finds.
func (s *State) CheckLinks() error {
	keys := map[lattice.LinkID][]lattice.LinkID{}
	ends := map[lattice.WorkloadID]map[lattice.LinkID]bool{}
	apps := map[string]map[lattice.LinkID]bool{}
	all := slices.AppendSeq(slices.Collect(maps.Keys(s.links)), maps.Keys(s.obs.Links))
	slices.SortFunc(all, compareLinks)
	for _, id := range slices.Compact(all) {
		keys[keyOf(id)] = append(keys[keyOf(id)], id)
		if l := s.links[id]; l != nil && l.want == nil {
			put(ends, id.Source, id, true)
			put(ends, id.Target, id, true)
			put(apps, l.owner, id, true)
		}
	}
	if !reflect.DeepEqual(s.linkKeys, keys) || !reflect.DeepEqual(s.endGoing, ends) || !reflect.DeepEqual(s.appGoing, apps) {
		return fmt.Errorf("indexes of links: %v, %v, %v; want %v, %v, %v", s.linkKeys, s.endGoing, s.appGoing, keys, ends, apps)
	}
	return nil
}
