package gpload

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"cw/loadspec"
)

// controlError is something wrong with the control file's content; gpload
// says so before it says what.
type controlError struct{ text string }

func (e *controlError) Error() string {
	return "A gpload control file processing error occurred. " + e.text
}

func controlErrorf(format string, args ...any) error {
	return &controlError{fmt.Sprintf(format, args...)}
}

// config is the content of a control file.
type config struct{ root any }

// find looks a value up by its path, as gpload:input:source(2):file: at each
// step among the mappings of a list, the nth one that has the key. nil when it
// is not there.
func (c *config) find(path string) any {
	at := c.root
	for step := range strings.SplitSeq(path, ":") {
		nth := 1
		if i := strings.IndexByte(step, '('); i >= 0 {
			nth, _ = strconv.Atoi(strings.TrimSuffix(step[i+1:], ")"))
			step = step[:i]
		}
		list, ok := at.([]any)
		if !ok {
			list = []any{at}
		}
		at = nil
		for _, item := range list {
			d, ok := item.(*dict)
			if !ok {
				continue
			}
			if v := d.get(step); v != nil {
				if nth--; nth == 0 {
					at = v
					break
				}
			}
		}
		if at == nil {
			return nil
		}
	}
	return at
}

func missingKey(path string) error { return controlErrorf("The configuration must contain %s", path) }

// text is a string; ok is false when it is not there.
func (c *config) text(path string) (value string, ok bool, err error) {
	v := c.find(path)
	if v == nil {
		return "", false, nil
	}
	s, isText := v.(string)
	if !isText {
		return "", false, controlErrorf("%s must be a string ", path)
	}
	return s, true, nil
}

func (c *config) list(path string) ([]any, bool, error) {
	v := c.find(path)
	if v == nil {
		return nil, false, nil
	}
	l, ok := v.([]any)
	if !ok {
		return nil, false, controlErrorf("The %s entry must be a YAML sequence ", path)
	}
	return l, true, nil
}

// mustList is a list that has to be there.
func (c *config) mustList(path string) ([]any, error) {
	l, ok, err := c.list(path)
	if err == nil && !ok {
		err = missingKey(path)
	}
	return l, err
}

func (c *config) number(path string) (int, bool, error) {
	v := c.find(path)
	if v == nil {
		return 0, false, nil
	}
	n, ok := v.(int64)
	if !ok {
		return 0, false, controlErrorf("The %s entry must be a YAML integer ", path)
	}
	return int(n), true, nil
}

func (c *config) truth(path string) (bool, error) {
	v := c.find(path)
	if v == nil {
		return false, nil
	}
	b, ok := v.(bool)
	if !ok {
		return false, controlErrorf("The %s entry must be a YAML boolean ", path)
	}
	return b, nil
}

// names are column names that have to be there, folded as SQL does.
func (c *config) names(path string) ([]string, error) {
	l, err := c.mustList(path)
	if err != nil {
		return nil, err
	}
	if len(l) == 0 {
		return nil, missingKey(path)
	}
	var names []string
	for _, v := range l {
		s, ok := v.(string)
		if !ok {
			return nil, controlErrorf("%s must be a YAML sequence of strings", path)
		}
		names = append(names, loadspec.FoldName(s))
	}
	return names, nil
}

// readConfig reads the control file at path and checks its words.
func readConfig(path string) (*config, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the user names the file
	if err != nil {
		return nil, fmt.Errorf("could not open configuration file: %s", pyOSError(err, path))
	}
	return parseConfig(data)
}

func parseConfig(data []byte) (*config, error) {
	tree, value, err := parseYAML(data)
	if err != nil {
		return nil, err
	}
	c := &config{root: value}
	switch v := c.find("version").(type) {
	case nil:
		return nil, controlErrorf("The configuration must contain version tag")
	case string:
		if v != "1.0.0.1" {
			return nil, controlErrorf("gpload configuration schema version must be 1.0.0.1")
		}
	default:
		return nil, controlErrorf("version must be a string  tag")
	}
	if _, ok := value.(*dict); !ok {
		return nil, controlErrorf("configuration file must begin with a mapping")
	}
	return c, checkKeys(tree, "", 0)
}
