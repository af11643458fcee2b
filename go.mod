module focusnfix

go 1.26
