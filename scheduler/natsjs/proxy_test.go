package natsjs_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/config/natsconn/natstest"
)

// wire is a connection to the server that can lose what passes through it.
type wire struct {
	// dropAnswers loses what the server says, dropRequests what the client says.
	dropAnswers, dropRequests atomic.Bool
	// onRequest, if not nil, sees what the client says before the server does.
	onRequest atomic.Pointer[func([]byte)]
	// refuse lets nobody connect.
	refuse atomic.Bool

	mu   sync.Mutex
	open []net.Conn
}

// cut breaks what is connected.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.open {
		_ = c.Close()
	}
	w.open = nil
}

// proxied connects through a wire. Nothing is lost until it is told to.
func proxied(t testing.TB, srv *natstest.Server) (*nats.Conn, *wire) {
	t.Helper()
	w := &wire{}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	carry := func(dst, src net.Conn, drop *atomic.Bool) {
		defer all.Done()
		buf := make([]byte, 64<<10)
		for {
			n, err := src.Read(buf)
			if err != nil {
				_ = dst.Close()
				return
			}
			if see := w.onRequest.Load(); see != nil && drop == &w.dropRequests {
				(*see)(buf[:n])
			}
			if drop.Load() {
				continue
			}
			if _, err := dst.Write(buf[:n]); err != nil {
				_, _ = io.Copy(io.Discard, src)
				return
			}
		}
	}
	all.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			if w.refuse.Load() {
				_ = client.Close()
				continue
			}
			server, err := net.Dial("tcp", strings.TrimPrefix(srv.URL(), "nats://"))
			if err != nil {
				_ = client.Close()
				continue
			}
			w.mu.Lock()
			w.open = append(w.open, client, server)
			w.mu.Unlock()
			all.Add(2)
			go carry(server, client, &w.dropRequests)
			go carry(client, server, &w.dropAnswers)
		}
	})
	through, err := nats.Connect("nats://"+ln.Addr().String(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.IgnoreDiscoveredServers())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		through.Close()
		_ = ln.Close()
		w.cut()
		all.Wait()
	})
	return through, w
}
