// npm's dotenv: reads a text in JSON a line, answers with its names and values.
const dotenv = require('dotenv')
const readline = require('readline')

readline.createInterface({ input: process.stdin }).on('line', line => {
  console.log(JSON.stringify(Object.entries(dotenv.parse(JSON.parse(line)))))
})
