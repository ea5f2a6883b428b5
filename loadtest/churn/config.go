package churn

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Config shapes a run. The zero value is a short one.
type Config struct {
	// Seed decides all operations.
	Seed uint64
	// Prefix of the names of the lattices; letters and digits. Default "churn".
	// A server must not have heard of them.
	Prefix string
	// Lattices, Hosts of each, and Apps of each: how many names there are.
	// Defaults 2, 6 and 4. There are at least 3 hosts.
	Lattices, Hosts, Apps int
	// Duration of the operations, without the rest. Default 15 s.
	Duration time.Duration
	// Rate of operations per second and lattice. Default 3.
	Rate float64
	// Heartbeat interval of the hosts. Default 1 s.
	Heartbeat time.Duration
	// Settle is how long a lattice may take to come to rest. Default 60 s. It must
	// exceed what the server waits for a command.
	Settle time.Duration
	// Quiet is how long a lattice at rest is watched: no command may come and
	// nothing may change. Default five heartbeats.
	Quiet time.Duration
	// Loss is the share of commands that get lost, are done without an answer, or
	// are done twice, a third each, while operations go on. Default 0.
	Loss float64
	// EventLoss is the share of events that get lost, are doubled or delayed by up
	// to a second, a third each, while operations go on. Default 0.
	EventLoss float64
}

// WithDefaults fills in what is zero.
func (c Config) WithDefaults() Config {
	c.Prefix = cmp.Or(c.Prefix, "churn")
	c.Lattices = cmp.Or(c.Lattices, 2)
	c.Hosts = cmp.Or(c.Hosts, 6)
	c.Apps = cmp.Or(c.Apps, 4)
	c.Duration = cmp.Or(c.Duration, 15*time.Second)
	c.Rate = cmp.Or(c.Rate, 3)
	c.Heartbeat = cmp.Or(c.Heartbeat, time.Second)
	c.Settle = cmp.Or(c.Settle, time.Minute)
	c.Quiet = cmp.Or(c.Quiet, 5*c.Heartbeat)
	return c
}

// ErrConfig is wrapped by every error that refuses a configuration.
var ErrConfig = errors.New("impossible churn")

// Validate says what is impossible. It expects defaults to be filled in.
func (c Config) Validate() error {
	switch {
	case c.Lattices < 1 || c.Apps < 1:
		return fmt.Errorf("%w: there must be a lattice and an application", ErrConfig)
	case c.Hosts <= fewest:
		return fmt.Errorf("%w: %d hosts, need %d", ErrConfig, c.Hosts, fewest+1)
	case c.Duration < 0 || c.Heartbeat < 0 || c.Settle < 0 || c.Quiet < 0:
		return fmt.Errorf("%w: a duration is negative", ErrConfig)
	case c.Rate <= 0 || c.Rate > 1000:
		return fmt.Errorf("%w: rate %v is not between 0 and 1000", ErrConfig, c.Rate)
	case !(c.Loss >= 0 && c.Loss < 1) || !(c.EventLoss >= 0 && c.EventLoss < 1):
		return fmt.Errorf("%w: losses must be from 0 to below 1", ErrConfig)
	}
	return nil
}
