package control

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// lostFor is how long what was sent over a connection that was lost may still
// arrive. The server reads what the network has kept for it until it notices.
const lostFor = 10 * time.Second

// leaving notes that a command is about to be sent.
func (c *Client) leaving() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connection()
	c.sent = time.Now()
}

// connection notes which connection it is by now. mu is held.
func (c *Client) connection() {
	if n := c.nc.Stats().Reconnects; n != c.conn {
		c.conn, c.lost = n, c.sent
	}
}

// Flush returns nil once the server has taken everything that was sent before: it
// answers a ping only then. It fails when ctx ends first, when there is no
// connection, and when commands left not long ago over one that has been lost
// since. Many may ask at the same time.
func (c *Client) Flush(ctx context.Context) error {
	if !c.nc.IsConnected() {
		return fmt.Errorf("flush commands: connection is %s", c.nc.Status())
	}
	if err := c.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("flush commands: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.connection(); !c.lost.IsZero() && time.Since(c.lost) < lostFor {
		return errors.New("flush commands: their connection was lost")
	}
	return nil
}
