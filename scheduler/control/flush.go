package control

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// kept is how long what was sent over a connection may still arrive after its loss
	// was noticed here: the server reads what the network has kept for it.
	kept = 10 * time.Second
	// arrival is how long ago a command must have left to count as arrived, or lost,
	// whatever became of its connection: the loss of that is noticed within 10 s, a
	// second try of the command included.
	arrival = 10*time.Second + kept
)

// noteSent notes that a command is about to be sent.
func (c *Client) noteSent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noteLoss()
	c.sent = time.Now()
}

// noteLoss notes whether the connection is another one by now. mu is held.
func (c *Client) noteLoss() {
	n := c.nc.Stats().Reconnects
	if n != c.reconnects && time.Since(c.sent) < arrival {
		c.lost = time.Now()
	}
	c.reconnects = n
}

// Flush returns nil at once when newest is long ago, and otherwise once the server
// has taken everything that was sent before: it answers a ping only then. It fails
// when ctx ends first, when there is no connection, and when one was lost not long
// ago over which commands had left. Many may ask at the same time.
func (c *Client) Flush(ctx context.Context, newest time.Time) error {
	if time.Since(newest) >= arrival {
		return nil
	}
	if !c.nc.IsConnected() {
		return fmt.Errorf("flush commands: connection is %s", c.nc.Status())
	}
	if err := c.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("flush commands: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.noteLoss(); time.Since(c.lost) < kept {
		return errors.New("flush commands: their connection was lost")
	}
	return nil
}
