package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Direction of bytes through a proxy.
type Direction int

// The directions: from the client to the server, and back.
const (
	Up Direction = iota
	Down
)

// Connection tells the connections of an instance apart.
type Connection int

// An instance sends commands to hosts over one connection and does everything else
// over another.
const (
	Both Connection = iota
	MainOnly
	CommandsOnly
)

// Link is how a proxy treats what passes. The zero value lets everything pass.
type Link struct {
	// Of says which connections are meant. One that has not said its name yet is
	// neither of the two.
	Of Connection
	// Cut closes all connections and refuses new ones.
	Cut bool
	// Hold keeps bytes back until the link changes.
	Hold [2]bool
	// Lose drops bytes. A connection that lost some is closed when the link changes.
	Lose [2]bool
	// Delay makes every chunk of bytes late.
	Delay time.Duration
}

// Proxy stands between clients and one server.
type Proxy struct {
	target string
	ln     net.Listener

	mu      sync.Mutex
	link    Link
	changed chan struct{} // closed and replaced when link changes
	pairs   map[*pair]bool
}

// pair is one proxied connection.
type pair struct {
	client, server net.Conn
	is             Connection // Both until it has said its name
	tainted        bool       // bytes were lost
}

// suffers tells whether the link treats the pair in any way.
func (l Link) suffers(q *pair) bool { return l.Of == Both || l.Of == q.is }

func (p *pair) close() {
	_ = p.client.Close()
	_ = p.server.Close()
}

// NewProxy listens on a free port of the loopback interface for target.
func NewProxy(target string) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open proxy: %w", err)
	}
	return &Proxy{target: target, ln: ln, changed: make(chan struct{}), pairs: map[*pair]bool{}}, nil
}

// Addr is where clients connect.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Set changes the link from now on.
func (p *Proxy) Set(l Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link = l
	for q := range p.pairs {
		if (l.Cut && l.suffers(q)) || q.tainted {
			q.close()
			delete(p.pairs, q)
		}
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// carriesMain tells whether the connection goes through that an instance does
// everything over but commands.
func (p *Proxy) carriesMain() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for q := range p.pairs {
		if q.is == MainOnly {
			return true
		}
	}
	return false
}

// Run accepts connections until ctx ends, and returns when all are closed.
func (p *Proxy) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, func() {
		_ = p.ln.Close()
		p.Set(Link{Cut: true})
	})
	defer stop()
	for {
		c, err := p.ln.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("accept at proxy: %w", err)
		}
		wg.Go(func() { p.serve(ctx, c) })
	}
}

func (p *Proxy) serve(ctx context.Context, client net.Conn) {
	q := &pair{client: client}
	link, _ := p.state(q)
	if link.Cut {
		_ = client.Close()
		return
	}
	d := net.Dialer{Timeout: time.Second}
	server, err := d.DialContext(ctx, "tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	q.server = server
	p.mu.Lock()
	if p.link.Cut && p.link.suffers(q) {
		p.mu.Unlock()
		q.close()
		return
	}
	p.pairs[q] = true
	p.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { p.copy(ctx, q, Up, client, server) })
	wg.Go(func() { p.copy(ctx, q, Down, server, client) })
	wg.Wait()
	p.mu.Lock()
	delete(p.pairs, q)
	p.mu.Unlock()
}

// state is the link as the pair feels it, until the channel is closed.
func (p *Proxy) state(q *pair) (Link, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.link.suffers(q) {
		return Link{}, p.changed
	}
	return p.link, p.changed
}

// learn finds out which connection a pair is, from the first that its client says.
func (p *Proxy) learn(q *pair, said []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q.is != Both {
		return
	}
	q.is = MainOnly
	if bytes.Contains(said, []byte(`"name":"wadm commands `)) {
		q.is = CommandsOnly
	}
}

// copy moves bytes one way until one side is closed.
func (p *Proxy) copy(ctx context.Context, q *pair, d Direction, from, to net.Conn) {
	defer q.close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if d == Up {
			p.learn(q, buf[:n])
		}
		link, changed := p.state(q)
		for link.Hold[d] && !link.Cut {
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
			link, changed = p.state(q)
		}
		if link.Cut {
			return
		}
		if link.Delay > 0 {
			t := time.NewTimer(link.Delay)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return
			}
		}
		if p.lose(q, d) {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// lose tells whether bytes are to be lost now, and notes that some were.
func (p *Proxy) lose(q *pair, d Direction) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.link.Lose[d] || !p.link.suffers(q) {
		return false
	}
	// Once some are lost, what follows would be garbage.
	q.tainted = true
	return true
}
