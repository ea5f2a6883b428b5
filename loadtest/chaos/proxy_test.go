package chaos_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"wadm/loadtest/chaos"
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	return ln.Addr().String()
}

func proxied(t *testing.T) (*chaos.Proxy, net.Conn) {
	t.Helper()
	p, err := chaos.NewProxy(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p, dial(t, p)
}

func dial(t *testing.T, p *chaos.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask sends a letter and tells what comes back within a while.
func ask(t *testing.T, c net.Conn, letter byte, within time.Duration) (byte, error) {
	t.Helper()
	if letter != 0 {
		if _, err := c.Write([]byte{letter}); err != nil {
			return 0, err
		}
	}
	_ = c.SetReadDeadline(time.Now().Add(within))
	var b [1]byte
	_, err := io.ReadFull(c, b[:])
	return b[0], err
}

const soon, long = 100 * time.Millisecond, 10 * time.Second

func isTimeout(err error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // io.ReadFull returns it as it is
	return ok && ne.Timeout()
}

func TestAProxyDeliversHeldBytesAfterwards(t *testing.T) {
	t.Parallel()
	for _, d := range []chaos.Direction{chaos.Up, chaos.Down} {
		p, c := proxied(t)
		if b, err := ask(t, c, 'a', long); b != 'a' || err != nil {
			t.Fatalf("got %q, %v", b, err)
		}
		var hold chaos.Link
		hold.Hold[d] = true
		p.Set(hold)
		if b, err := ask(t, c, 'b', soon); !isTimeout(err) {
			t.Fatalf("direction %d: %q passed a link that holds: %v", d, b, err)
		}
		p.Set(chaos.Link{})
		if b, err := ask(t, c, 0, long); b != 'b' || err != nil {
			t.Fatalf("direction %d: got %q, %v after the link was good again", d, b, err)
		}
	}
}

func TestAProxyClosesConnectionsThatLostBytes(t *testing.T) {
	t.Parallel()
	p, c := proxied(t)
	p.Set(chaos.Link{Lose: [2]bool{chaos.Down: true}})
	if b, err := ask(t, c, 'a', soon); !isTimeout(err) {
		t.Fatalf("%q passed a link that loses: %v", b, err)
	}
	p.Set(chaos.Link{})
	if b, err := ask(t, c, 'b', long); err == nil || isTimeout(err) {
		t.Fatalf("a connection with a hole in it lives on: %q, %v", b, err)
	}
	if b, err := ask(t, dial(t, p), 'c', long); b != 'c' || err != nil {
		t.Fatalf("a new connection gives %q, %v", b, err)
	}
}

func TestAProxyThatIsCutRefusesUntilItIsNot(t *testing.T) {
	t.Parallel()
	p, c := proxied(t)
	p.Set(chaos.Link{Cut: true})
	if _, err := ask(t, c, 'a', long); err == nil || isTimeout(err) {
		t.Fatalf("connection lives: %v", err)
	}
	if _, err := ask(t, dial(t, p), 'a', long); err == nil || isTimeout(err) {
		t.Fatalf("new connection lives: %v", err)
	}
	p.Set(chaos.Link{Delay: soon})
	at := time.Now()
	if b, err := ask(t, dial(t, p), 'b', long); b != 'b' || err != nil || time.Since(at) < 2*soon {
		t.Fatalf("got %q, %v after %v", b, err, time.Since(at))
	}
}

// hello says a name as a client of NATS does, and waits for the echo.
func hello(t *testing.T, c net.Conn, name string) {
	t.Helper()
	said := []byte(`CONNECT {"verbose":false,"name":"` + name + `"}` + "\r\n")
	if _, err := c.Write(said); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(long))
	if _, err := io.ReadFull(c, said); err != nil {
		t.Fatal(err)
	}
}

func TestAProxyHitsOneConnectionOfTwo(t *testing.T) {
	t.Parallel()
	for of, names := range map[chaos.Connection][2]string{
		chaos.MainOnly:     {"wadm i1", "wadm commands i1"},
		chaos.CommandsOnly: {"wadm commands i1", "wadm i1"},
	} {
		p, hit := proxied(t)
		spared := dial(t, p)
		hello(t, hit, names[0])
		hello(t, spared, names[1])
		p.Set(chaos.Link{Of: of, Hold: [2]bool{chaos.Up: true}})
		if b, err := ask(t, hit, 'a', soon); !isTimeout(err) {
			t.Fatalf("%s: %q passed a link that holds: %v", names[0], b, err)
		}
		if b, err := ask(t, spared, 'b', long); b != 'b' || err != nil {
			t.Fatalf("%s: got %q, %v while the other is held", names[1], b, err)
		}
		p.Set(chaos.Link{Of: of, Cut: true})
		if _, err := ask(t, hit, 'c', long); err == nil || isTimeout(err) {
			t.Fatalf("%s lives: %v", names[0], err)
		}
		again := dial(t, p)
		hello(t, dial(t, p), names[1])
		if _, err := again.Write([]byte(`CONNECT {"name":"` + names[0] + `"}` + "\r\n")); err != nil {
			t.Fatal(err)
		}
		if b, err := ask(t, again, 0, long); err == nil || isTimeout(err) {
			t.Fatalf("%s is back: %q, %v", names[0], b, err)
		}
		if b, err := ask(t, spared, 'd', long); b != 'd' || err != nil {
			t.Fatalf("%s: got %q, %v while the other is cut", names[1], b, err)
		}
	}
}
