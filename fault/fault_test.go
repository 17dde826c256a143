package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"cw/fault"
)

func TestKindAndHintOfTrees(t *testing.T) {
	t.Parallel()
	inner := fault.New(fault.Auth, "ssh-add", "permission denied")
	for _, c := range []struct {
		err  error
		kind fault.Kind
		hint string
	}{
		{nil, fault.Failed, ""},
		{errors.New("x"), fault.Failed, ""},
		{fmt.Errorf("host a: %w", inner), fault.Auth, "ssh-add"},
		{fault.Wrap(fault.Unreachable, "", inner), fault.Unreachable, "ssh-add"},
		{fault.Wrap(fault.Unreachable, "outer", inner), fault.Unreachable, "outer"},
		{errors.Join(errors.New("x"), inner), fault.Auth, "ssh-add"},
		{fault.Wrap(fault.Usage, "h", nil), fault.Failed, ""},
	} {
		if k, h := fault.KindOf(c.err), fault.HintOf(c.err); k != c.kind || h != c.hint {
			t.Errorf("%v: kind %d hint %q, want %d %q", c.err, k, h, c.kind, c.hint)
		}
	}
}
