package shard

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"wadm/shard/ring"
)

// Ports are what an instance needs of its surroundings.
type Ports struct {
	Registry Registry
	Claims   Claims
	Members  Members
	Views    Views
	Beats    Beats
	Ledger   Ledger
}

// FleetConfig tunes Fleet. Only Instance is required.
type FleetConfig struct {
	// Instance names this instance. Give it the same name after a restart, and
	// nothing moves; never give two living instances the same.
	Instance MemberID
	// Version of the program, shown to people.
	Version string
	// Units is the weight of this instance; default 4. A machine twice as large gets 8.
	Units int
	// Params are the ring's; default ring.DefaultParams. All instances need the same.
	Params ring.Params
	// Heartbeat is the time between two beats, varied by a fifth; default 250 ms.
	Heartbeat time.Duration
	// Refresh is the time between two writes of the membership record; default
	// 2 s. It must be at most a fifth of the record's life.
	Refresh time.Duration
	// SelfLimit is how old the newest answered round trip to the ledger may be for
	// effects to leave; default 1 s. It must be shorter than Roster.Suspect by
	// 5 % at least, or an instance acts while another already counts it as dead.
	SelfLimit time.Duration
	// ProbeEvery is the time between two round trips made to know; default 250 ms.
	ProbeEvery time.Duration
	// WriteTimeout bounds one write; default 5 s.
	WriteTimeout time.Duration
	// StopLimit bounds handing everything over once Run's context ended; default 10 s.
	StopLimit time.Duration
	// ReadyLimit makes an instance ready that is in the view but has not yet taken
	// all it should; default 30 s.
	ReadyLimit time.Duration
	// OrphanLimit is how long a key may be without a living owner before that is
	// reported; default 5 s.
	OrphanLimit time.Duration
	// StuckLimit is how long an owner may go on after it was told to stop before
	// that is reported and the instance is not ready; default 30 s. After twice that
	// Run gives everything up and fails with ErrStuck.
	StuckLimit time.Duration
	// RejoinMin and RejoinMax bound the pause before an excluded instance comes
	// back; defaults 1 s and 60 s. It doubles each time.
	RejoinMin, RejoinMax time.Duration
	Holdings             HoldingsConfig
	Roster               RosterConfig
	// NewIncarnation makes names of lives; default 128 random bits.
	NewIncarnation func() Incarnation
	// Suspended gives the total time the machine was suspended, if it can be told;
	// default: asks the operating system.
	Suspended func() (time.Duration, bool)
	// Log takes what an operator should know; nil discards it.
	Log *slog.Logger
}

// WithDefaults fills what is zero.
func (c FleetConfig) WithDefaults() FleetConfig {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if c.Units == 0 {
		c.Units = ring.FullUnits
	}
	if c.Params == (ring.Params{}) {
		c.Params = ring.DefaultParams()
	}
	set(&c.Heartbeat, 250*time.Millisecond)
	set(&c.Refresh, 2*time.Second)
	set(&c.SelfLimit, time.Second)
	set(&c.ProbeEvery, 250*time.Millisecond)
	set(&c.WriteTimeout, 5*time.Second)
	set(&c.StopLimit, 10*time.Second)
	set(&c.ReadyLimit, 30*time.Second)
	set(&c.OrphanLimit, 5*time.Second)
	set(&c.StuckLimit, 30*time.Second)
	set(&c.RejoinMin, time.Second)
	set(&c.RejoinMax, time.Minute)
	c.Holdings = c.Holdings.WithDefaults()
	c.Roster = c.Roster.WithDefaults()
	if c.NewIncarnation == nil {
		c.NewIncarnation = randomIncarnation
	}
	if c.Suspended == nil {
		c.Suspended = suspended
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports the first field that cannot work, alone or with the others.
func (c FleetConfig) Validate() error {
	if _, err := ParseMemberID(string(c.Instance)); err != nil {
		return fmt.Errorf("instance: %w", err)
	}
	for what, d := range map[string]time.Duration{
		"Heartbeat": c.Heartbeat, "Refresh": c.Refresh, "SelfLimit": c.SelfLimit, "ProbeEvery": c.ProbeEvery,
		"WriteTimeout": c.WriteTimeout, "StopLimit": c.StopLimit, "ReadyLimit": c.ReadyLimit,
		"OrphanLimit": c.OrphanLimit, "StuckLimit": c.StuckLimit, "RejoinMin": c.RejoinMin, "RejoinMax": c.RejoinMax,
		"Roster.Suspect": c.Roster.Suspect, "Holdings.Quarantine": c.Holdings.Quarantine, "Holdings.HandOff": c.Holdings.HandOff,
	} {
		if d <= 0 {
			return fmt.Errorf("shard: %s must be positive, not %s", what, d)
		}
	}
	switch {
	case c.Units < 1 || c.Units > maxUnits:
		return fmt.Errorf("shard: units must be 1 to %d, not %d", maxUnits, c.Units)
	case len(c.Version) > maxText:
		return errors.New("shard: version too long")
	case c.Roster.Suspect < 5*c.Heartbeat:
		return fmt.Errorf("shard: suspicion after %s would leave fewer than five heartbeats of %s", c.Roster.Suspect, c.Heartbeat)
	case float64(c.SelfLimit)*1.05 >= float64(c.Roster.Suspect):
		return fmt.Errorf("shard: an instance must doubt itself (%s) at least 5 %% before others do (%s)", c.SelfLimit, c.Roster.Suspect)
	case float64(c.Holdings.Quarantine) <= float64(c.SelfLimit)*1.05:
		return fmt.Errorf("shard: quarantine %s leaves no time for effects already checked (self limit %s)", c.Holdings.Quarantine, c.SelfLimit)
	case c.ProbeEvery*2 > c.SelfLimit:
		return fmt.Errorf("shard: probes every %s cannot keep within a self limit of %s", c.ProbeEvery, c.SelfLimit)
	}
	if err := c.Params.Validate(); err != nil {
		return fmt.Errorf("shard: %w", err)
	}
	return nil
}

func randomIncarnation() Incarnation {
	var b [16]byte
	_, _ = rand.Read(b[:]) // cannot fail
	return Incarnation(hex.EncodeToString(b[:]))
}
