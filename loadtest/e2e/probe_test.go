//go:build e2e

package e2e_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// probe asks an HTTP server with four clients without pause and keeps the
// account.
type probe struct {
	stop chan struct{}
	done sync.WaitGroup

	mu sync.Mutex
	account
}

type account struct {
	requests, failures int
	// bodies of the answers, with their number.
	bodies map[string]int
	// errors are the first few failures, longest the slowest good answer.
	errors  []string
	longest time.Duration
}

func (a account) String() string {
	return fmt.Sprintf("%d requests, %d failed, slowest %v, answers %v", a.requests, a.failures, a.longest.Round(time.Millisecond), a.bodies)
}

func startProbe(url string) *probe {
	p := &probe{stop: make(chan struct{}), account: account{bodies: map[string]int{}}}
	for range 4 {
		p.done.Go(func() {
			// A host that compiles lets requests wait, for as long as the machine
			// takes. They are late, not lost; slowest tells.
			client := &http.Client{Transport: &http.Transport{}, Timeout: patience}
			for {
				select {
				case <-p.stop:
					client.CloseIdleConnections()
					return
				default:
				}
				at := time.Now()
				body, err := fetch(client, url)
				p.note(at, body, err)
			}
		})
	}
	return p
}

func fetch(client *http.Client, url string) (string, error) {
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %.100s", res.StatusCode, body)
	}
	return strings.TrimSpace(string(body)), nil
}

func (p *probe) note(at time.Time, body string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	if err != nil {
		if p.failures++; len(p.errors) < 5 {
			p.errors = append(p.errors, fmt.Sprintf("%s after %v: %v", at.Format("15:04:05.000"), time.Since(at).Round(time.Millisecond), err))
		}
		return
	}
	p.bodies[body]++
	p.longest = max(p.longest, time.Since(at))
}

// read returns the account so far.
func (p *probe) read() account {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.account
	a.bodies = maps.Clone(a.bodies)
	return a
}

// end stops the clients and returns the account.
func (p *probe) end() account {
	close(p.stop)
	p.done.Wait()
	return p.read()
}
