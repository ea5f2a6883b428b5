package main

import (
	"slices"
	"strconv"
	"time"

	"wadm/shard"
	"wadm/tenancy"
)

// ringPage is what /ring answers: what this instance holds and believes of the
// others. Names are those of wadmctl's documents.
type ringPage struct {
	Instance    shard.MemberID    `json:"instance"`
	Incarnation shard.Incarnation `json:"incarnation"`
	// Ready: this instance takes the part it should; else Reason says why not.
	Ready    bool   `json:"ready"`
	Reason   string `json:"reason,omitempty"`
	Healthy  bool   `json:"healthy"`
	Draining bool   `json:"draining"`
	// Fingerprint is of this instance's way to place, Digest of the ring it follows;
	// empty: it follows none.
	Fingerprint string       `json:"fingerprint"`
	Digest      string       `json:"digest"`
	View        ringView     `json:"view"`
	Members     []ringMember `json:"members"`
	// Disagree lists the instances that compute another ring from this view.
	Disagree []shard.MemberID `json:"disagree"`
	Lattices ringLattices     `json:"lattices"`
	// Braked is how often the loss of many at once was not believed at once.
	Braked      int        `json:"braked"`
	BrakedUntil *time.Time `json:"braked_until,omitempty"`
}

// ringView is the picture the instances have agreed on.
type ringView struct {
	Revision    uint64           `json:"revision"`
	Schema      int              `json:"schema"`
	Fingerprint string           `json:"fingerprint"`
	Cause       string           `json:"cause"`
	Proposer    shard.MemberID   `json:"proposer"`
	Members     []ringViewMember `json:"members"`
}

type ringViewMember struct {
	Instance    shard.MemberID    `json:"instance"`
	Incarnation shard.Incarnation `json:"incarnation"`
	State       shard.MemberState `json:"state"`
	Units       int               `json:"units"`
}

// ringMember is what is known of an instance, in the view or not.
type ringMember struct {
	Instance    shard.MemberID    `json:"instance"`
	Incarnation shard.Incarnation `json:"incarnation"`
	Version     string            `json:"version"`
	Fingerprint string            `json:"fingerprint"`
	Started     time.Time         `json:"started"`
	State       shard.MemberState `json:"state"`
	Units       int               `json:"units"`
	Held        int               `json:"held"`
	InView      bool              `json:"in_view"`
	Foreign     bool              `json:"foreign"`
	Dead        bool              `json:"dead"`
	// SilentSeconds is how long it has not been heard.
	SilentSeconds float64 `json:"silent_seconds"`
}

// ringLattices counts what this instance holds by how far it is, and lists some
// lattices that nobody has acted for longer than is normal.
type ringLattices struct {
	Acquiring  int        `json:"acquiring"`
	Recovering int        `json:"recovering"`
	Overdue    int        `json:"overdue"`
	Active     int        `json:"active"`
	Stopping   int        `json:"stopping"`
	Fenced     int        `json:"fenced"`
	Orphaned   int        `json:"orphaned"`
	Orphans    []ringBare `json:"orphans"`
}

type ringBare struct {
	Tenant  tenancy.Tenant  `json:"tenant,omitempty"`
	Lattice tenancy.Lattice `json:"lattice,omitempty"`
	Key     shard.Key       `json:"key"`
	Since   time.Time       `json:"since"`
}

func newRingPage(s shard.Status) ringPage {
	p := ringPage{
		Instance: s.Instance, Incarnation: s.Incarnation, Ready: s.Ready, Reason: s.Reason, Healthy: s.Healthy, Draining: s.Draining,
		Fingerprint: s.Fingerprint,
		View: ringView{
			Revision: s.View.Rev, Schema: s.View.Schema, Fingerprint: s.View.Fingerprint, Cause: s.View.Cause, Proposer: s.View.Proposer,
			Members: []ringViewMember{},
		},
		Members: []ringMember{}, Disagree: append([]shard.MemberID{}, slices.Sorted(slices.Values(s.Disagree))...),
		Lattices: ringLattices{
			Acquiring: s.Acquiring, Recovering: s.Recovering, Overdue: s.Overdue, Active: s.Active, Stopping: s.Stopping, Fenced: s.Fenced,
			Orphaned: s.Bare, Orphans: []ringBare{},
		},
		Braked: s.Braked,
	}
	if s.Digest != 0 {
		p.Digest = strconv.FormatUint(s.Digest, 16)
	}
	if !s.BrakedUntil.IsZero() {
		p.BrakedUntil = &s.BrakedUntil
	}
	for _, m := range s.View.Members {
		p.View.Members = append(p.View.Members, ringViewMember{m.ID, m.Incarnation, m.State, m.Units})
	}
	for _, m := range s.Members {
		p.Members = append(p.Members, ringMember{
			Instance: m.ID, Incarnation: m.Incarnation, Version: m.Version, Fingerprint: m.Fingerprint, Started: m.Started, State: m.State,
			Units: m.Units, Held: m.Held, InView: m.InView, Foreign: m.Foreign, Dead: m.Dead, SilentSeconds: m.Silence.Seconds(),
		})
	}
	for _, b := range s.Orphans {
		bare := ringBare{Key: b.Key, Since: b.Since}
		if key, err := tenancy.ParseToken(string(b.Key)); err == nil {
			bare.Tenant, bare.Lattice = key.Tenant, key.Lattice
		}
		p.Lattices.Orphans = append(p.Lattices.Orphans, bare)
	}
	return p
}
