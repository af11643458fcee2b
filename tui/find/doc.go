// Package find is the language in which the screen is searched: words, "quoted text", FIELD:TEXT, FIELD=VALUE with !=,
// <, <=, > and >=, has:THING, and, or, not, parentheses. Words next to each other must all be there.
package find
