package natstest

import (
	"bytes"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// A Wire connects to a server and can keep an answer from whoever asked, so that a
// write fails without being stored, or although it is.
type Wire struct {
	srv  *server.Server
	mode atomic.Int32
	when atomic.Pointer[change]
}

// change is a change of mode by the first thing sent that contains text.
type change struct {
	mode WireMode
	text []byte
}

// WireMode is what becomes of what is sent over a [Wire].
type WireMode int32

// The modes of a wire.
const (
	// Passing is the mode of a new wire.
	Passing WireMode = iota
	// Losing: what is sent does not arrive.
	Losing
	// Holding: what is sent arrives; answers do not until the wire passes again.
	Holding
)

// Faulty opens a connection as [Server.Connect] does, over a wire of its own. A
// bubble does not end while its wire is holding.
func (s *Server) Faulty(t testing.TB, opts ...nats.Option) (*nats.Conn, *Wire) {
	t.Helper()
	w := &Wire{srv: s.NATS()}
	return s.Connect(t, append([]nats.Option{nats.InProcessServer(w)}, opts...)...), w
}

// Set changes the mode.
func (w *Wire) Set(m WireMode) {
	w.when.Store(nil)
	w.mode.Store(int32(m))
}

// SetAt changes the mode as soon as something that contains text is to be sent, a
// subject or a header; that is already treated so.
func (w *Wire) SetAt(m WireMode, text string) { w.when.Store(&change{m, []byte(text)}) }

func (w *Wire) is(m WireMode) bool { return w.mode.Load() == int32(m) }

// InProcessConn implements nats.InProcessConnProvider.
func (w *Wire) InProcessConn() (net.Conn, error) {
	c, err := w.srv.InProcessConn()
	if err != nil {
		return nil, err
	}
	return wired{c, w}, nil
}

type wired struct {
	net.Conn
	w *Wire
}

func (c wired) Write(b []byte) (int, error) {
	if at := c.w.when.Load(); at != nil && bytes.Contains(b, at.text) {
		c.w.Set(at.mode)
	}
	if c.w.is(Losing) {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c wired) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	for c.w.is(Holding) {
		time.Sleep(time.Millisecond)
	}
	return n, err
}
