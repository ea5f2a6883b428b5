package main

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/loadtest/simhost"
)

// devZones are dealt to the hosts of a lattice in turn.
var devZones = []string{"a", "b", "c"}

// devFleet is the simulated hosts.
type devFleet struct {
	opts devOptions

	mu       sync.Mutex
	lattices []*simhost.Lattice
	killed   []devSimulated
	added    int
}

// devSimulated is a host with its lattice.
type devSimulated struct {
	lattice *simhost.Lattice
	host    *simhost.Host
}

func (h devSimulated) String() string {
	return h.host.Inventory().FriendlyName + " of " + h.lattice.Name()
}

// newDevFleet makes the lattices, without hosts.
func newDevFleet(nc *nats.Conn, o devOptions) (*devFleet, error) {
	f := &devFleet{opts: o}
	for i := range o.lattices {
		l, err := simhost.New(nc, string(o.latticeName(i)), simhost.Config{
			// The same ids at every start, as of machines that come back.
			Seed: 1, HeartbeatInterval: o.heartbeat, SpreadHeartbeats: true, Images: devImage, Records: -1,
		})
		if err != nil {
			f.close()
			return nil, err
		}
		f.lattices = append(f.lattices, l)
	}
	return f, nil
}

// devImage makes an image take as long as small images do: 0.3 to 2 s the first
// time on a host, always the same for one image.
func devImage(image string) simhost.Image {
	h := fnv.New32a()
	h.Write([]byte(image))
	n := h.Sum32()
	return simhost.Image{
		Fetch:   100*time.Millisecond + time.Duration(n%1000)*time.Millisecond,
		Compile: 200*time.Millisecond + time.Duration(n/1000%700)*time.Millisecond,
	}
}

// start brings all hosts up.
func (f *devFleet) start() error {
	for _, l := range f.lattices {
		for i := range f.opts.hosts {
			if _, err := l.AddHost(devHostConfig(i)); err != nil {
				return fmt.Errorf("start host: %w", err)
			}
		}
	}
	return nil
}

// devHostConfig is the i-th host of a lattice: a-1, b-1, c-1, a-2, …
func devHostConfig(i int) simhost.HostConfig {
	zone := devZones[i%len(devZones)]
	return simhost.HostConfig{
		FriendlyName: fmt.Sprintf("%s-%d", zone, i/len(devZones)+1),
		Labels:       map[string]string{"zone": zone},
	}
}

// kill ends a host picked at random, as if its machine lost power.
func (f *devFleet) kill() (devSimulated, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var alive []devSimulated
	for _, l := range f.lattices {
		for _, h := range l.Hosts() {
			alive = append(alive, devSimulated{l, h})
		}
	}
	if len(alive) == 0 {
		return devSimulated{}, errors.New("no simulated host is running")
	}
	h := alive[rand.IntN(len(alive))]
	if err := h.host.Kill(); err != nil {
		return devSimulated{}, err
	}
	f.killed = append(f.killed, h)
	return h, nil
}

// revive starts the host that was killed last, or one more when all run.
func (f *devFleet) revive() (devSimulated, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.killed); n > 0 {
		h := f.killed[n-1]
		f.killed = f.killed[:n-1]
		if err := h.host.Restart(true); err != nil {
			return devSimulated{}, err
		}
		return h, nil
	}
	cfg := devHostConfig(f.opts.hosts + f.added/len(f.lattices))
	l := f.lattices[f.added%len(f.lattices)]
	h, err := l.AddHost(cfg)
	if err != nil {
		return devSimulated{}, err
	}
	f.added++
	return devSimulated{l, h}, nil
}

func (f *devFleet) close() {
	for _, l := range f.lattices {
		l.Close()
	}
}
