package shard

import (
	"slices"
	"strings"
	"time"
)

// Counts gives the number of keys in each state, by State.
func (h *Holdings) Counts() [Fenced + 1]int { return h.counts }

// Overdue is the number of keys that are owned here and have been recovering for
// longer than limit.
func (h *Holdings) Overdue(now time.Time, limit time.Duration) (n int) {
	if h.counts[Recovering] == 0 {
		return 0
	}
	for _, l := range h.lanes {
		if l.state == Recovering && now.Sub(l.since) > limit {
			n++
		}
	}
	return n
}

// Settled reports whether every key that is wanted here is owned here and acted for.
func (h *Holdings) Settled() bool {
	if !h.registryLoaded || !h.claimsLoaded {
		return false
	}
	for _, l := range h.lanes {
		if l.registered && h.want(l.key) && l.state != Active {
			return false
		}
	}
	return true
}

// Bare is a registered key that nobody living holds.
type Bare struct {
	Key   Key
	Since time.Time
}

// Orphans looks for registered keys that no living instance holds, and lists
// those that have been without one for longer than limit, oldest first. covers
// says whether a head is a claim of somebody living. It is to be called
// regularly: since is when it first noticed.
func (h *Holdings) Orphans(now time.Time, limit time.Duration, covers func(Head) bool) []Bare {
	if !h.registryLoaded || !h.claimsLoaded {
		return nil
	}
	var bare []Bare
	for _, l := range h.lanes {
		switch {
		case !l.registered || covers(l.head):
			l.bareFrom = time.Time{}
		case l.bareFrom.IsZero():
			l.bareFrom = now
		case now.Sub(l.bareFrom) > limit:
			bare = append(bare, Bare{l.key, l.bareFrom})
		}
	}
	slices.SortFunc(bare, func(a, b Bare) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(string(a.Key), string(b.Key))
	})
	return bare
}
