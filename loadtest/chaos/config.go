package chaos

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"wadm/loadtest/process"
)

// Config says what to run and what to break. Binary, NATS and Dir are required.
type Config struct {
	// Seed decides the schedule.
	Seed uint64
	// Binary is the server under test.
	Binary string
	// Odd is one whose ring has other parameters; without it there is no fault of
	// that kind.
	Odd string
	// NATS starts a NATS server when [NATSVariable] is set in its environment: a
	// program that calls [ServeNATS].
	NATS process.Command
	// Dir holds what the NATS servers store; it must exist and be empty.
	Dir string
	// Servers is the number of NATS servers, 1 or 3; with 3 everything has three
	// replicas. Default 1.
	Servers int
	// Instances run from the start; default 3.
	Instances int
	// Lattices are probed; default 12. Churning more are deployed and undeployed
	// by faults of that kind; default 3, -1 for none.
	Lattices, Churning int
	// Duration is the time in which faults begin; default 20 s.
	Duration time.Duration
	// Pause is the mean time between two of them; default 1.5 s.
	Pause time.Duration
	// Longest bounds one fault; default 10 s.
	Longest time.Duration
	// Kinds are the faults to choose from; default all.
	Kinds []Kind
	// Schedule, when not nil, is carried out instead of the seed's. An empty one
	// lets Duration pass in peace.
	Schedule Schedule
	// Heartbeat is the interval of the hosts; default 4 s: often enough to repair
	// within a run what an outage of NATS swallowed.
	Heartbeat time.Duration
	// Probe is the rest between two probes of one lattice; default 250 ms.
	Probe time.Duration
	// Coverage is how soon after the last fault every lattice must react; default
	// 20 s. Settle is how soon everything must be at rest; default 90 s: an
	// instance that others gave up several times waits long before it is back.
	Coverage, Settle time.Duration
	// Quiet is how long rest is watched; default 6 s, longer than a pass.
	Quiet time.Duration
	// InFlight is the most claims and releases of one instance that may be on their
	// way at once; default 128, 64 of each.
	InFlight int
	// Env is added to the environment of instances.
	Env []string
	// Progress is told what happens; nil drops it.
	Progress func(format string, args ...any)
}

// WithDefaults fills in what is zero.
func (c Config) WithDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	num := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	num(&c.Servers, 1)
	num(&c.Instances, 3)
	num(&c.Lattices, 12)
	num(&c.Churning, 3)
	num(&c.InFlight, 128)
	set(&c.Duration, 20*time.Second)
	set(&c.Pause, 1500*time.Millisecond)
	set(&c.Longest, 10*time.Second)
	set(&c.Probe, 250*time.Millisecond)
	set(&c.Heartbeat, 4*time.Second)
	set(&c.Coverage, 20*time.Second)
	set(&c.Settle, 90*time.Second)
	set(&c.Quiet, 6*time.Second)
	if len(c.Kinds) == 0 {
		c.Kinds = Kinds()
		if c.Odd == "" {
			c.Kinds = slices.DeleteFunc(c.Kinds, func(k Kind) bool { return k == Odd })
		}
	}
	if c.Progress == nil {
		c.Progress = func(string, ...any) {}
	}
	return c
}

// Validate says what cannot work.
func (c Config) Validate() error {
	switch {
	case c.Binary == "" || c.NATS.Path == "" || c.Dir == "":
		return errors.New("chaos: binary, NATS and directory are needed")
	case c.Servers != 1 && c.Servers != 3:
		return fmt.Errorf("chaos: %d NATS servers; it must be 1 or 3", c.Servers)
	case c.Instances < 1 || c.Lattices < 1:
		return errors.New("chaos: instances and lattices must be positive")
	case c.Longest < MostHold:
		return fmt.Errorf("chaos: the longest fault %v is shorter than %v", c.Longest, MostHold)
	}
	for _, k := range c.Kinds {
		if !known(k) {
			return fmt.Errorf("chaos: unknown kind of fault %q", k)
		}
		if k == Odd && c.Odd == "" {
			return errors.New("chaos: an instance with another ring needs a program")
		}
	}
	return nil
}
