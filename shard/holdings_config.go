package shard

import "time"

// HoldingsConfig tunes Holdings. The zero value works.
type HoldingsConfig struct {
	// Parallel is the most claims being written at a time; default 64. Too small
	// makes a take-over slow, too large floods the ledger after a crash.
	Parallel int
	// Rate is the most claims begun per second, with bursts of Parallel; default 5000.
	Rate float64
	// HandOff is how long a living holder's release is awaited before its claim is
	// taken over, not counting pauses; default 5 s. It must exceed the time an owner needs to stop.
	HandOff time.Duration
	// Quarantine is how long after a holder fell silent its last effects may
	// arrive; default 2.3 s = 0.3 s to the beat that was missing, 1 s of self-health,
	// 5 % for clocks that run at different rates, and what is left from the check to the host.
	Quarantine time.Duration
	// Settle is the least time between a claim that took over without a release
	// and its first effect, whatever the silence was; default 500 ms. It is all that an
	// effect has from the append to the host whose owner lived unheard, because the
	// ledger takes its appends until the claim.
	Settle time.Duration
	// MaxStopping is the most keys being given up at a time, each counted for at
	// most StopSlot; defaults 64 and 1 s. Giving up everything at once would leave
	// the last ones without an owner for as long as all of them take.
	MaxStopping int
	StopSlot    time.Duration
	// BackOffMin and BackOffMax bound the pause after own or a claim failed;
	// defaults 100 ms and 5 s. It doubles per failure in a row.
	BackOffMin, BackOffMax time.Duration
	// Pass is the interval of the full want-and-have comparison; default 5 s.
	Pass time.Duration
}

// WithDefaults fills what is zero.
func (c HoldingsConfig) WithDefaults() HoldingsConfig {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if c.Parallel == 0 {
		c.Parallel = 64
	}
	if c.Rate == 0 {
		c.Rate = 5000
	}
	if c.MaxStopping == 0 {
		c.MaxStopping = 64
	}
	set(&c.StopSlot, time.Second)
	set(&c.HandOff, 5*time.Second)
	set(&c.Quarantine, 2300*time.Millisecond)
	set(&c.Settle, 500*time.Millisecond)
	set(&c.BackOffMin, 100*time.Millisecond)
	set(&c.BackOffMax, 5*time.Second)
	set(&c.Pass, 5*time.Second)
	return c
}
