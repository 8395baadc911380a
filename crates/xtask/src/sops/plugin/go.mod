module example.com/age-plugin-roundtest

go 1.24

require filippo.io/age v1.3.1
