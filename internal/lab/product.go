package lab

import (
	"context"
	"errors"
)

// Install installs the product as its users do.
func (l *Lab) Install(ctx context.Context) error { return errors.New("not yet") }

// Deploy creates what the walk-through creates.
func (l *Lab) Deploy(ctx context.Context) error { return errors.New("not yet") }
