package core

import (
	"cmp"
	"slices"

	"wadm/tenancy/manifest"
)

// defaultWeight is the weight of a spread that names none.
const defaultWeight = 100

// maxCount is the largest count a host stores; larger ones mean the same to it.
const maxCount = 1<<32 - 1

// spread is a share of a scaler's instances for the hosts that carry its labels.
type spread struct {
	name   string
	labels map[string]string
	// count is the number of instances for a component's spread scaler, of hosts
	// for a provider's, and of instances per host for a daemon scaler.
	count uint64
}

// shares splits the instances of a scaler over its spreads by weight, in the
// order in which they are served: heaviest first, equal ones in manifest order.
// What the division leaves over goes one each to the first. When all weights are
// zero they count as equal.
func shares(s *manifest.SpreadScaler) []spread {
	if len(s.Spread) == 0 {
		return []spread{{name: defaultSpread, count: min(s.Instances, maxCount)}}
	}
	type weighed struct {
		spread
		weight uint64
	}
	all := make([]weighed, len(s.Spread))
	var total uint64
	for i, sp := range s.Spread {
		w := uint64(defaultWeight)
		if sp.Weight != nil {
			w = min(*sp.Weight, maxCount)
		}
		total += w
		all[i] = weighed{spread{name: sp.Name, labels: sp.Requirements}, w}
	}
	if total == 0 {
		for i := range all {
			all[i].weight = 1
		}
		total = uint64(len(all))
	}
	slices.SortStableFunc(all, func(a, b weighed) int { return cmp.Compare(b.weight, a.weight) })
	instances := min(s.Instances, maxCount)
	left := instances
	out := make([]spread, len(all))
	for i, w := range all {
		out[i] = w.spread
		out[i].count = instances * w.weight / total
		left -= out[i].count
	}
	for i := 0; left > 0; i++ {
		out[i%len(out)].count++
		left--
	}
	return out
}

// everyHost lists the spreads of a daemon scaler: each wants the full count on
// each of its hosts.
func everyHost(s *manifest.SpreadScaler) []spread {
	if len(s.Spread) == 0 {
		return []spread{{name: defaultSpread, count: min(s.Instances, maxCount)}}
	}
	out := make([]spread, len(s.Spread))
	for i, sp := range s.Spread {
		out[i] = spread{name: sp.Name, labels: sp.Requirements, count: min(s.Instances, maxCount)}
	}
	return out
}
